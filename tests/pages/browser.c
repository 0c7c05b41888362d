/* Owns a session of the driver: windows, what is done in them, what they have to say. Knows nothing of any page. */
#include "browser.h"

#include "driver.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOWS_MAX 4
#define ELEMENT "element-6066-11e4-a52e-4f735466cecf" /* the member that names an element (WebDriver, 12) */

struct browser {
    struct flow *f;
    struct driver driver;
    char session[128];
    char window[WINDOWS_MAX][64];
    int n_windows, current;
    int width[WINDOWS_MAX], height[WINDOWS_MAX];
};

/* ---- requests ---- */

/* Gives the answer's value; an error fails the test unless `ret_status` is asked for. */
static json_t *ask(struct browser *b, const char *method, const char *what, json_t *body, int *ret_status)
{
    char path[384];
    int status = 0;
    snprintf(path, sizeof path, "/session/%s%s", b->session, what);
    json_t *value = driver_ask(&b->driver, method, path, body, &status);
    if (ret_status)
        *ret_status = status;
    else if (status != 200)
        ck_abort_msg("%s %s: %d %.600s", method, what, status, json_string_value(json_object_get(value, "message")));
    return value;
}

static void tell(struct browser *b, const char *what, json_t *body)
{
    json_decref(ask(b, "POST", what, body, NULL));
}

/* A command of the DevTools protocol, for what WebDriver has no word for. */
static json_t *devtools(struct browser *b, const char *command, json_t *parameters)
{
    return ask(b, "POST", "/goog/cdp/execute", json_pack("{s:s, s:o}", "cmd", command, "params", parameters), NULL);
}

/* ---- its life ---- */

bool browser_installed(void)
{
    bool there = true;
    for (int i = 0; i < 2; i++) {
        const char *program = i ? DRIVER_PROGRAM : DRIVER_CHROMIUM;
        if (access(program, X_OK) < 0) {
            printf("there is no %s here (apt-get install chromium chromium-driver): not tested\n", program);
            there = false;
        }
    }
    return there;
}

static void add_window(struct browser *b, const char *handle)
{
    ck_assert_int_lt(b->n_windows, WINDOWS_MAX);
    b->current = b->n_windows++;
    snprintf(b->window[b->current], sizeof b->window[0], "%s", handle);
    browser_size(b, 1280, 900);
}

struct browser *browser_new(struct flow *f)
{
    struct browser *b = calloc(1, sizeof *b);
    ck_assert(b != NULL);
    b->f = f;
    driver_start(&b->driver);
    char profile[640];
    snprintf(profile, sizeof profile, "--user-data-dir=%s/profile", b->driver.folder);
    json_t *arguments = json_pack("[s, s, s, s, s, s, s, s, s]", "--headless=new", "--no-sandbox", "--disable-gpu",
                                  "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
                                  "--hide-scrollbars", "--window-size=1280,900", profile);
    json_t *capabilities = json_pack("{s:{s:{s:s, s:{s:s, s:o}, s:{s:s}}}}", "capabilities", "alwaysMatch",
                                     "browserName", "chrome", "goog:chromeOptions", "binary", DRIVER_CHROMIUM, "args",
                                     arguments, "goog:loggingPrefs", "browser", "ALL");
    int status = 0;
    json_t *value = driver_ask(&b->driver, "POST", "/session", capabilities, &status);
    const char *id = json_string_value(json_object_get(value, "sessionId"));
    ck_assert_msg(status == 200 && id, "no browser: %d %s", status,
                  json_string_value(json_object_get(value, "message")));
    snprintf(b->session, sizeof b->session, "%s", id);
    json_decref(value);
    value = ask(b, "GET", "/window", NULL, NULL);
    add_window(b, json_string_value(value));
    json_decref(value);
    return b;
}

void browser_free(struct browser *b)
{
    if (!b)
        return;
    driver_stop(&b->driver);
    free(b);
}

const char *browser_folder(const struct browser *b)
{
    return b->driver.folder;
}

/* ---- windows ---- */

void browser_window(struct browser *b, int nth)
{
    ck_assert_int_lt(nth, b->n_windows);
    b->current = nth;
    tell(b, "/window", json_pack("{s:s}", "handle", b->window[nth]));
}

void browser_new_window(struct browser *b)
{
    json_t *value = ask(b, "POST", "/window/new", json_pack("{s:s}", "type", "window"), NULL);
    const char *handle = json_string_value(json_object_get(value, "handle"));
    tell(b, "/window", json_pack("{s:s}", "handle", handle));
    add_window(b, handle);
    json_decref(value);
}

/* By emulation: a window itself cannot be made as narrow as a telephone. */
void browser_size(struct browser *b, int width, int height)
{
    b->width[b->current] = width;
    b->height[b->current] = height;
    json_decref(devtools(
        b, "Emulation.setDeviceMetricsOverride",
        json_pack("{s:i, s:i, s:i, s:b}", "width", width, "height", height, "deviceScaleFactor", 1, "mobile", false)));
}

void browser_dark(struct browser *b, bool dark)
{
    json_decref(devtools(
        b, "Emulation.setEmulatedMedia",
        json_pack("{s:[{s:s, s:s}]}", "features", "name", "prefers-color-scheme", "value", dark ? "dark" : "light")));
}

void browser_open(struct browser *b, const char *path)
{
    char url[512];
    snprintf(url, sizeof url, "%s%s", b->f->url, path);
    tell(b, "/url", json_pack("{s:s}", "url", url));
}

/* ---- elements ---- */

/* Its path in requests, "/element/ID". */
static void find(struct browser *b, const char *selector, char ret_path[256])
{
    for (int64_t until = flow_now_ms() + BROWSER_WAIT_MS;; flow_sleep_ms(10)) {
        int status = 0;
        json_t *value =
            ask(b, "POST", "/element", json_pack("{s:s, s:s}", "using", "css selector", "value", selector), &status);
        const char *id = json_string_value(json_object_get(value, ELEMENT));
        if (id)
            snprintf(ret_path, 256, "/element/%s", id);
        json_decref(value);
        if (id)
            return;
        ck_assert_msg(flow_now_ms() < until, "nothing on the page is %s (%d)", selector, status);
    }
}

/* One request about an element; again while it is covered, unseen or just replaced. */
static json_t *ask_element(struct browser *b, const char *selector, const char *method, const char *what, json_t *body)
{
    json_t *value = NULL;
    for (int64_t until = flow_now_ms() + BROWSER_WAIT_MS;; flow_sleep_ms(10)) {
        char path[320];
        int status = 0;
        find(b, selector, path);
        strncat(path, what, sizeof path - strlen(path) - 1);
        value = ask(b, method, path, body ? json_deep_copy(body) : NULL, &status);
        if (status == 200)
            break;
        ck_assert_msg(flow_now_ms() < until, "%s of %s: %.600s", what, selector,
                      json_string_value(json_object_get(value, "message")));
        json_decref(value);
    }
    json_decref(body);
    return value;
}

static char *text_of(json_t *value)
{
    char *text = json_is_string(value) ? strdup(json_string_value(value)) : NULL;
    json_decref(value);
    return text;
}

void browser_click(struct browser *b, const char *selector)
{
    json_decref(ask_element(b, selector, "POST", "/click", json_object()));
}

void browser_type(struct browser *b, const char *selector, const char *text)
{
    json_decref(ask_element(b, selector, "POST", "/value", json_pack("{s:s}", "text", text)));
}

void browser_fill(struct browser *b, const char *selector, const char *text)
{
    json_decref(ask_element(b, selector, "POST", "/clear", json_object()));
    browser_type(b, selector, text);
}

char *browser_text(struct browser *b, const char *selector)
{
    return text_of(ask_element(b, selector, "GET", "/text", NULL));
}

char *browser_attribute(struct browser *b, const char *selector, const char *name)
{
    char what[128];
    snprintf(what, sizeof what, "/attribute/%s", name);
    return text_of(ask_element(b, selector, "GET", what, NULL));
}

void browser_expect(struct browser *b, const char *selector, const char *text)
{
    char *shown = NULL;
    for (int64_t until = flow_now_ms() + BROWSER_WAIT_MS;; flow_sleep_ms(10)) {
        free(shown);
        shown = browser_text(b, selector);
        if (shown && strstr(shown, text))
            break;
        ck_assert_msg(flow_now_ms() < until, "%s does not show \"%s\" but \"%.600s\"", selector, text,
                      shown ? shown : "");
    }
    free(shown);
}

void browser_keys(struct browser *b, const char *keys)
{
    json_t *actions = json_array();
    for (const char *at = keys; *at;) {
        int len = 1;
        while (((unsigned char)at[len] & 0xc0) == 0x80)
            len++;
        json_array_append_new(actions, json_pack("{s:s, s:s%}", "type", "keyDown", "value", at, (size_t)len));
        json_array_append_new(actions, json_pack("{s:s, s:s%}", "type", "keyUp", "value", at, (size_t)len));
        at += len;
    }
    tell(b, "/actions",
         json_pack("{s:[{s:s, s:s, s:o}]}", "actions", "type", "key", "id", "keyboard", "actions", actions));
}

/* ---- scripts ---- */

json_t *browser_run(struct browser *b, const char *script)
{
    return ask(b, "POST", "/execute/sync", json_pack("{s:s, s:[]}", "script", script, "args"), NULL);
}

int64_t browser_int(struct browser *b, const char *expression)
{
    char script[4096];
    ck_assert_int_lt(snprintf(script, sizeof script, "return Number(%s);", expression), (int)sizeof script);
    json_t *value = browser_run(b, script);
    double number = json_number_value(value);
    json_decref(value);
    return (int64_t)(number < 0 ? number - 0.5 : number + 0.5);
}

int64_t browser_wait(struct browser *b, const char *expression)
{
    char script[4096];
    ck_assert_int_lt(snprintf(script, sizeof script, "return Boolean(%s);", expression), (int)sizeof script);
    int64_t begun = flow_now_ms();
    for (;; flow_sleep_ms(10)) {
        json_t *value = browser_run(b, script);
        bool holds = json_is_true(value);
        json_decref(value);
        int64_t waited = flow_now_ms() - begun;
        if (holds)
            return waited;
        ck_assert_msg(waited < BROWSER_WAIT_MS, "waited in vain: %s", expression);
    }
}

/* ---- what is to be seen ---- */

void browser_picture(struct browser *b, const char *name)
{
    /* The view is made as high as the page, so that what is fixed to an edge is in its place. */
    int width = b->width[b->current], height = b->height[b->current];
    int64_t whole = browser_int(b, "document.documentElement.scrollHeight");
    if (whole > height)
        browser_size(b, width, (int)(whole < 8000 ? whole : 8000));
    json_t *value = ask(b, "GET", "/screenshot", NULL, NULL);
    browser_size(b, width, height);
    const char *base64 = json_string_value(value);
    size_t len = strlen(base64);
    unsigned char *bytes = malloc(len + 1);
    ck_assert(bytes != NULL);
    int n = EVP_DecodeBlock(bytes, (const unsigned char *)base64, (int)len);
    char file[160];
    snprintf(file, sizeof file, "pages/%s.png", name);
    FILE *out = fopen(flow_build(file), "wb");
    ck_assert_msg(out != NULL && n > 0, "no picture %s", file);
    ck_assert_int_eq((int)fwrite(bytes, 1, (size_t)n, out), n);
    fclose(out);
    free(bytes);
    json_decref(value);
}

char *browser_errors(struct browser *b)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    json_t *lines = ask(b, "POST", "/se/log", json_pack("{s:s}", "type", "browser"), NULL);
    for (size_t i = 0; i < json_array_size(lines); i++) {
        json_t *line = json_array_get(lines, i);
        const char *level = json_string_value(json_object_get(line, "level"));
        const char *message = json_string_value(json_object_get(line, "message"));
        if (!level || !message || (strcmp(level, "SEVERE") != 0 && !strstr(message, "Content Security Policy")))
            continue;
        if (strstr(message, "the server responded with a status of 4") && !strstr(message, "/ui/"))
            continue;
        fprintf(out, "%s\n", message);
    }
    json_decref(lines);
    fclose(out);
    return text;
}

void browser_quiet(struct browser *b)
{
    char *errors = browser_errors(b);
    ck_assert_msg(errors[0] == '\0', "the console says: %s", errors);
    free(errors);
}

int64_t browser_first_paint_ms(struct browser *b)
{
    const char *paint = "(performance.getEntriesByName('first-contentful-paint')[0] || {startTime: -1}).startTime";
    char seen[256];
    snprintf(seen, sizeof seen, "%s >= 0", paint);
    browser_wait(b, seen);
    return browser_int(b, paint);
}
