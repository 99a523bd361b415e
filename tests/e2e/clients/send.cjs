// Sends one mail with the official client, as its own documentation shows.
const { Client } = require("@microsoft/microsoft-graph-client");

const { BASE_URL, TOKEN, SENDER, CONTENT } = process.env;
const client = Client.initWithMiddleware({
  authProvider: { getAccessToken: async () => TOKEN },
  baseUrl: BASE_URL,
  customHosts: new Set([new URL(BASE_URL).hostname]),
});
client
  .api(`/users/${SENDER}/sendMail`)
  .post({
    message: {
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
    },
  })
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
