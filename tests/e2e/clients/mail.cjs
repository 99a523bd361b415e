// Sends a mail with the official client, its own retries on, under a key, and repeats the request when the connection
// breaks. MIME: sent then as well.
const { Client } = require("@microsoft/microsoft-graph-client");

const { BASE_URL, TOKEN, SENDER, SUBJECT, KEY, CONTENT, MIME } = process.env;
const client = Client.initWithMiddleware({
  authProvider: { getAccessToken: async () => TOKEN },
  baseUrl: BASE_URL,
  customHosts: new Set([new URL(BASE_URL).hostname]),
});
const message = {
  subject: SUBJECT,
  body: { contentType: "Text", content: "Meet for lunch?" },
  toRecipients: [{ emailAddress: { address: "fannyd@sandbox.example" } }],
  attachments: [
    {
      "@odata.type": "#microsoft.graph.fileAttachment",
      name: "menu.pdf",
      contentType: "application/pdf",
      contentBytes: CONTENT,
    },
  ],
};
const request = () => client.api(`/users/${SENDER}/sendMail`);

async function send() {
  for (;;) {
    try {
      // The client keeps the header over its own retries.
      return await request().header("Idempotency-Key", KEY).post({ message });
    } catch (error) {
      if (error.statusCode !== -1) throw error; // an answer; what has none is repeated
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

send()
  .then(() => MIME && request().header("Content-Type", "text/plain").post(MIME))
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
