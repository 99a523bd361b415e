// Sends two mails with the official client: one as its own documentation shows, and MIME.
const { Client } = require("@microsoft/microsoft-graph-client");

const { BASE_URL, TOKEN, SENDER, CONTENT, MIME } = process.env;
const client = Client.initWithMiddleware({
  authProvider: { getAccessToken: async () => TOKEN },
  baseUrl: BASE_URL,
  customHosts: new Set([new URL(BASE_URL).hostname]),
});
const message = {
  subject: "Grüße from JavaScript",
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
request()
  .post({ message })
  .then(() => request().header("Content-Type", "text/plain").post(MIME))
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
