// Sends one mail with the official client, its own retries on, and repeats the request when the connection breaks:
// with the same client-request-id, as a program does that logs it.
const { Client } = require("@microsoft/microsoft-graph-client");

const { BASE_URL, TOKEN, SENDER, SUBJECT, REQUEST_ID } = process.env;
const client = Client.initWithMiddleware({
  authProvider: { getAccessToken: async () => TOKEN },
  baseUrl: BASE_URL,
  customHosts: new Set([new URL(BASE_URL).hostname]),
});
const message = { subject: SUBJECT, toRecipients: [{ emailAddress: { address: "fannyd@sandbox.example" } }] };

async function main() {
  for (;;) {
    try {
      // Without an id of the program's the client makes one for each call, and keeps it over its own retries.
      const request = client.api(`/users/${SENDER}/sendMail`);
      return await (REQUEST_ID ? request.header("client-request-id", REQUEST_ID) : request).post({ message });
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
