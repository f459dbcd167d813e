import "./faq.js";
import "./hours.js";
import "./newsletter.js";
import "./privacy.js";
import "./account.js";
