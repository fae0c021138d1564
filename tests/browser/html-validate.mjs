// What html-validate holds against a page: all that it recommends, but for what is said here.
export default {
  root: true,
  elements: ["html5"],
  extends: ["html-validate:recommended", "html-validate:document"],
  rules: {
    // In lower case, as all the rest: how it is written changes nothing.
    "doctype-style": ["error", { style: "lowercase" }],
    // What comes from the site itself is what the page's own policy allows; there is nothing from elsewhere.
    "require-sri": ["error", { target: "crossorigin" }],
    // A release before is found by its version: id="v1.0.2". HTML asks only that there be no space in it.
    "valid-id": ["error", { relaxed: true }],
    // A title begins with the name of a package or of a cause, and these are as long as they are.
    "long-title": "off",
    // How the source is laid out; and a log shows the ends of its lines as they were.
    "no-trailing-whitespace": "off",
  },
};
