import { render } from "preact";
import { address } from "./here";
import { DocumentPage } from "./pages/document";
import { HomePage } from "./pages/home";
import { route } from "./router";
import { lookWhoIAm } from "./sign-in";
import "./theme";
import "@fontsource-variable/source-serif-4/wght.css";
import "@fontsource-variable/source-serif-4/wght-italic.css";
import "@fontsource-variable/inter/wght.css";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/home.css";
import "./styles/document.css";
import "./styles/writing.css";

function Page() {
  const at = route.value;
  return at.page === "home" ? <HomePage /> : <DocumentPage key={at.visit} place={at.place} beginning={at.beginning} />;
}

void lookWhoIAm();
render(<Page />, document.getElementById("app")!);

if (import.meta.env.PROD && "serviceWorker" in navigator) {
  // Lets the page itself be reloaded while the server is away. Refused (plain HTTP): then it cannot.
  navigator.serviceWorker.register(new URL("sw.js", address.home), { scope: address.mount }).catch(() => undefined);
}
