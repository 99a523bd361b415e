// Sends one MIME mail with the official client.
const { Client } = require("@microsoft/microsoft-graph-client");

const { BASE_URL, TOKEN, SENDER, CONTENT } = process.env;
const client = Client.initWithMiddleware({
  authProvider: { getAccessToken: async () => TOKEN },
  baseUrl: BASE_URL,
  customHosts: new Set([new URL(BASE_URL).hostname]),
});
client
  .api(`/users/${SENDER}/sendMail`)
  .header("Content-Type", "text/plain")
  .post(CONTENT)
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
