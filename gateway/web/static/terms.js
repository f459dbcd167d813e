// Plain words for the keys of the data map. A key without them is shown by its own last words.
import { words } from "./dom.js";

export const CATEGORIES = {
  "user.account": "Your account",
  "user.authorization.credentials": "What proves that it is you (never shown)",
  "user.behavior.purchase_history": "What you bought",
  "user.contact.address": "Your addresses",
  "user.contact.email": "Your e-mail address",
  "user.contact.phone_number": "Phone numbers of your business",
  "user.contact.organization": "Your company",
  "user.contact.url": "Your website",
  "user.content.private": "What you write to us",
  "user.content.self_image": "Your photo",
  "user.device": "The devices you use",
  "user.financial.credit_card": "Your cards: brand, last four digits and expiry",
  "user.name": "Your name",
  "user.payment": "What the payment provider knows your card by (never shown)",
  "user.privacy_preferences": "Your choices",
  "user.unique_id": "The number that stands for you",
};

export const PURPOSES = {
  "essential.fraud_detection": "protecting you from fraud",
  "essential.legal_obligation": "what the law asks of us",
  "essential.service": "running the store",
  "essential.service.authentication": "signing you in",
  "essential.service.operations.support": "helping you",
  "functional.service": "your points",
  "marketing.communications.email": "the newsletter",
};

export const named = (terms, key) => terms[key] ?? words(key.split(".").slice(-2).join(" "));
