import { addressFrom } from "./address";

export const address = addressFrom(document.baseURI);
