// Sends one mail with the official client, its own retries on, and repeats the request when the connection breaks:
// with the same Idempotency-Key.
const { Client } = require("@microsoft/microsoft-graph-client");

const { BASE_URL, TOKEN, SENDER, SUBJECT, KEY } = process.env;
const client = Client.initWithMiddleware({
  authProvider: { getAccessToken: async () => TOKEN },
  baseUrl: BASE_URL,
  customHosts: new Set([new URL(BASE_URL).hostname]),
});
const message = { subject: SUBJECT, toRecipients: [{ emailAddress: { address: "fannyd@sandbox.example" } }] };

async function main() {
  for (;;) {
    try {
      // The client keeps the header over its own retries.
      return await client.api(`/users/${SENDER}/sendMail`).header("Idempotency-Key", KEY).post({ message });
    } catch (error) {
      if (error.statusCode !== -1) throw error; // an answer; what has none is repeated
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
