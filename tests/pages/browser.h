/* A browser under a test's control: Chromium without a screen, spoken to by the WebDriver protocol (W3C, 2018) through
 * chromedriver, both as Debian has them. Works beside a struct flow, whose host serves the pages.
 *
 *     struct browser *b = browser_new(f);
 *     browser_open(b, "/ui/support");
 *     browser_click(b, "#create");
 *     browser_wait(b, "document.querySelectorAll('.ticket').length === 1");
 *     browser_picture(b, "support-one");
 *     browser_quiet(b);
 *     browser_free(b);
 *
 * Whatever cannot be done fails the test with a sentence; what is looked for is waited for, at most BROWSER_WAIT_MS.
 * The driver, and every process that the browser started, ends with the test, however that ends. */
#ifndef TESTS_PAGES_BROWSER_H
#define TESTS_PAGES_BROWSER_H

#include "flow.h"

#define BROWSER_WAIT_MS FLOW_WAIT_MS

/* Keys for browser_keys, in UTF-8 (WebDriver, 17.4.2). */
#define KEY_TAB "\xee\x80\x84"
#define KEY_ENTER "\xee\x80\x87"
#define KEY_ESCAPE "\xee\x80\x8c"
#define KEY_LEFT "\xee\x80\x92"
#define KEY_RIGHT "\xee\x80\x94"
#define KEY_DOWN "\xee\x80\x95"
#define KEY_SPACE " "

struct browser;

/* Says on standard output what is missing. */
bool browser_installed(void);

struct browser *browser_new(struct flow *f);         /* borrows f; a window of 1280 x 900 in light colours */
void browser_free(struct browser *b);                /* accepts NULL */
const char *browser_folder(const struct browser *b); /* its profile's; in the command line of each of its processes */

/* A further window of the same browser, which becomes the one spoken to; browser_window goes back to the nth. */
void browser_new_window(struct browser *b);
void browser_window(struct browser *b, int nth);
void browser_size(struct browser *b, int width, int height);
void browser_dark(struct browser *b, bool dark); /* what prefers-color-scheme says */

void browser_open(struct browser *b, const char *path); /* of the host; returns when the page is loaded */

/* The first element that a selector (CSS) means. Texts are as a person sees them; free() what is given. */
void browser_click(struct browser *b, const char *selector);
void browser_type(struct browser *b, const char *selector, const char *text); /* behind what is there */
void browser_fill(struct browser *b, const char *selector, const char *text); /* in place of what is there */
char *browser_text(struct browser *b, const char *selector);
char *browser_attribute(struct browser *b, const char *selector, const char *name); /* NULL: it has none */
void browser_expect(struct browser *b, const char *selector, const char *text);     /* waits until it shows `text` */
void browser_keys(struct browser *b, const char *keys);                             /* pressed where the focus is */

/* Runs a script's body and gives what it returns (json_decref); *_int: as a number. */
json_t *browser_run(struct browser *b, const char *script);
int64_t browser_int(struct browser *b, const char *expression);
/* Until an expression holds; gives the milliseconds waited. */
int64_t browser_wait(struct browser *b, const char *expression);

/* The whole page as BUILD/pages/NAME.png. */
void browser_picture(struct browser *b, const char *name);
/* What the console has had to say since the last call, errors and violations of the content security policy only: one
 * line each (free() it), "" where there is nothing. An answer of 4xx that the page asked for is no error here. */
char *browser_errors(struct browser *b);
void browser_quiet(struct browser *b);             /* fails where browser_errors has any */
int64_t browser_first_paint_ms(struct browser *b); /* first contentful paint of the page, since its navigation began */

/* looks.c: what a person would complain of. Fail with what they found. */
void browser_fits(struct browser *b); /* the page does not scroll sideways */
void browser_legible(
    struct browser *b); /* texts have a contrast of 4.5 to their ground, large ones of 3 (WCAG 1.4.3) */
/* Every size and colour scheme: it fits, is legible, and its picture is BUILD/pages/NAME-{1280,360}{,-dark}.png. */
void browser_looks(struct browser *b, const char *name);

#endif
