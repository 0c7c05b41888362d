/* Looks at a page as a person would: room, contrast, pictures of it. */
#include "browser.h"

#include <stdio.h>
#include <string.h>

/* A script that gives "" or what is wrong. */
static void judge(struct browser *b, const char *script, const char *what)
{
    json_t *value = browser_run(b, script);
    ck_assert_msg(json_is_string(value) && json_string_value(value)[0] == '\0', "%s: %s", what,
                  json_string_value(value));
    json_decref(value);
}

void browser_fits(struct browser *b)
{
    static const char script[] =
        "const w = document.documentElement.clientWidth;"
        "if (document.documentElement.scrollWidth <= w) return '';"
        "return [...document.querySelectorAll('body *')]"
        ".filter(e => e.getBoundingClientRect().right > w + 1).slice(0, 5)"
        ".map(e => `${e.tagName}.${e.className} to ${Math.round(e.getBoundingClientRect().right)}`)"
        ".join(', ');";
    judge(b, script, "the page scrolls sideways");
}

void browser_legible(struct browser *b)
{
    static const char script[] =
        "const parse = c => { const n = c.match(/[0-9.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };"
        "const light = c => { const [r, g, b] = c.map(v => v / 255)"
        "  .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 "
        "* b; };"
        "const over = (top, under) => top.slice(0, 3).map((v, i) => v * top[3] + under[i] * (1 - top[3]));"
        "const ground = e => { const layers = []; for (let at = e; at; at = at.parentElement) {"
        "  const c = parse(getComputedStyle(at).backgroundColor); if (c[3] > 0) layers.push(c); if (c[3] === 1) break; "
        "}"
        "  return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]); };"
        "const bad = new Set();"
        "for (const e of document.querySelectorAll('body *')) {"
        "  if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility() || e.disabled) "
        "continue;"
        "  const s = getComputedStyle(e), under = ground(e), own = over(parse(s.color), under);"
        "  const [a, z] = [light(own), light(under)].sort((x, y) => y - x), ratio = (a + 0.05) / (z + 0.05);"
        "  const size = parseFloat(s.fontSize), large = size >= 24 || size >= 18.66 && Number(s.fontWeight) >= 700;"
        "  if (ratio < (large ? 3 : 4.5)) bad.add(`${e.tagName}.${e.className} ${ratio.toFixed(2)} "
        "\"${e.textContent.slice(0, 20)}\"`);"
        "}"
        "return [...bad].slice(0, 8).join(', ');";
    judge(b, script, "hard to read");
}

void browser_looks(struct browser *b, const char *name)
{
    static const int sizes[][2] = {{1280, 900}, {360, 740}};
    char file[128];
    for (int dark = 0; dark < 2; dark++) {
        browser_dark(b, dark);
        for (int i = 0; i < 2; i++) {
            browser_size(b, sizes[i][0], sizes[i][1]);
            flow_sleep_ms(250); /* colours fade */
            snprintf(file, sizeof file, "%s-%d%s", name, sizes[i][0], dark ? "-dark" : "");
            browser_picture(b, file);
            browser_fits(b);
            browser_legible(b);
        }
    }
    browser_dark(b, false);
    browser_size(b, sizes[0][0], sizes[0][1]);
}
