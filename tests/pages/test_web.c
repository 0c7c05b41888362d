/* What the pages share, in a browser: the first page, the parts of ui.js, a stream that breaks and goes on. */
#include "browser.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENT_MS 100
#define SLACK 4 /* a machine that does other things too */

static struct flow *host(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "web");
    flow_plugin(f, "teller");
    flow_start(f);
    return f;
}

static void end(struct flow *f, struct browser *b)
{
    browser_quiet(b);
    browser_free(b);
    flow_end(f);
}

static void run(struct browser *b, const char *script)
{
    json_decref(browser_run(b, script));
}

START_TEST(overview)
{
    struct flow *f = host();
    struct browser *b = browser_new(f);
    browser_open(b, "/");
    ck_assert_int_eq(browser_int(b, "location.pathname === '/ui/'"), 1);
    browser_expect(b, "#health", "healthy");
    browser_expect(b, "#health", "Plugins");
    browser_expect(b, "#pages", "A page");
    browser_expect(b, ".site-nav", "Overview");
    ck_assert_int_eq(browser_int(b, "document.querySelectorAll('.site-nav [aria-current=page]').length"), 1);
    browser_looks(b, "overview");
    browser_keys(b, KEY_TAB);
    ck_assert_int_eq(browser_int(b, "document.activeElement.className === 'skip'"), 1);
    browser_keys(b, KEY_ENTER);
    ck_assert_int_eq(browser_int(b, "document.activeElement.tagName === 'MAIN'"), 1);
    browser_click(b, "#pages a[href='/test/page']");
    browser_expect(b, "p", "first");
    end(f, b);
}
END_TEST

START_TEST(parts)
{
    static const char hostile[] = "<img src=x onerror=alert(1)><script>document.title='gone'</script>";
    struct flow *f = host();
    struct browser *b = browser_new(f);
    char script[2048];
    browser_open(b, "/ui/");
    browser_expect(b, "#health", "healthy");
    snprintf(
        script, sizeof script,
        "const text = \"%s\"; const ui = await import('/ui/shared/ui.js'); window.ui = ui;"
        "const main = ui.replace(document.querySelector('main'));"
        "window.bar = ui.progress('Days', { value: 3, max: 4 });"
        "main.append(ui.el('h1', {}, text), ui.card({ title: text, note: text, tone: 'warn' }, text),"
        "  ui.tabs([{ id: 'one', title: 'One', content: ui.el('p', {}, text) },"
        "           { id: 'two', title: 'Two', content: () => ui.el('p', { id: 'late' }, 'late') }]),"
        "  ui.table([{ key: 'a', title: text }, { key: 'n', number: true }], [{ a: text, n: 1 }, { a: 'b', n: 2 }],"
        "    { caption: text, onrow: row => { window.chosen = row.n; } }),"
        "  ui.stat('Share', ui.percent(0.25)), ui.badge(text, 'good'), bar, ui.empty(text),"
        "  ui.ago(Date.now() - 180000), ui.el('a', { id: 'link', href: 'javascript:alert(1)' }, 'link'));"
        "for (const tone of ['good', 'warn', 'bad', 'info', 'lilac']) main.append(ui.badge(tone, tone));"
        "main.append(ui.el('button', { class: 'primary' }, 'Do'), ui.el('button', { class: 'danger' }, 'End'));"
        "ui.toast(text, 'bad');",
        hostile);
    run(b, script);
    browser_expect(b, "h1", hostile);
    browser_expect(b, ".toast", hostile);
    browser_expect(b, "td", hostile);
    browser_expect(b, "main", "3 min");
    browser_expect(b, ".progress", "75");
    ck_assert_int_eq(browser_int(b, "document.querySelectorAll('main img, main script').length"), 0);
    ck_assert_int_eq(browser_int(b, "document.querySelector('#link').hasAttribute('href')"), 0);
    ck_assert_int_eq(browser_int(b, "document.title.startsWith('Overview')"), 1);
    browser_looks(b, "parts");

    run(b, "document.querySelector('[data-tab=one]').focus()");
    browser_keys(b, KEY_RIGHT);
    browser_expect(b, "#late", "late");
    ck_assert_int_eq(browser_int(b, "document.activeElement.dataset.tab === 'two'"), 1);
    ck_assert_int_eq(browser_int(b, "document.querySelectorAll('[role=tabpanel]:not([hidden])').length"), 1);
    browser_keys(b, KEY_LEFT);
    ck_assert_int_eq(browser_int(b, "document.querySelector('#late').checkVisibility()"), 0);

    run(b, "document.querySelectorAll('tr.choosable')[1].focus()");
    browser_keys(b, KEY_ENTER);
    browser_wait(b, "window.chosen === 2");

    run(b, "ui.dialog({ title: 'How many', content: ui.el('label', {}, 'Number', ui.el('input', { name: 'n', type: "
           "'number', value: 7 })), actions: [{ label: 'No', value: null }, { label: 'Yes', value: 'values' }] })"
           ".then(v => { window.said = JSON.stringify(v); }); ");
    browser_wait(b, "document.querySelector('dialog').open");
    browser_looks(b, "dialog");
    browser_click(b, "dialog .primary");
    browser_wait(b, "window.said === '{\"n\":7}'");
    run(b, "ui.dialog({ title: 'Again' }).then(v => { window.said = v; });");
    browser_wait(b, "document.querySelector('dialog').open");
    browser_keys(b, KEY_ESCAPE);
    browser_wait(b, "window.said === null && !document.querySelector('dialog')");

    run(b, "ui.api('/api/v1/nowhere').catch(e => { window.failed = `${e.status} ${e.code}`; });");
    browser_wait(b, "window.failed === '404 NOT_FOUND'");
    browser_expect(b, ".toasts", "There is nothing at this path");
    free(browser_errors(b)); /* the 404 */
    end(f, b);
}
END_TEST

START_TEST(stream)
{
    struct flow *f = host();
    struct browser *b = browser_new(f);
    browser_open(b, "/ui/");
    browser_expect(b, "#health", "healthy");
    run(b,
        "const ui = await import('/ui/shared/ui.js'); window.got = []; window.states = [];"
        "window.s = ui.events('/test/events', { 'test.told': d => { got.push(d.tag); window.at = performance.now(); },"
        "  reset: () => got.push('reset'), state: name => states.push(name) });"
        "document.querySelector('main').append(s.indicator);"
        "window.tell = async tag => { window.begun = performance.now();"
        "  await ui.api('/test/tell', { body: { tag } }); };");
    browser_expect(b, ".live", "live");
    run(b, "await tell(1);");
    browser_wait(b, "got.join() === '1'");
    int64_t ms = browser_int(b, "Math.ceil(window.at - window.begun)");
    printf("an event was on the page %lld ms after it was asked for\n", (long long)ms);
    ck_assert_int_le(ms, (int64_t)EVENT_MS * SLACK);

    /* Nobody looks for a while. */
    run(b, "s.close(); window.s = (await import('/ui/shared/ui.js')).events('/test/events',"
           "  { 'test.told': d => got.push(d.tag), reset: () => got.push('reset'), state: name => states.push(name) },"
           "  { indicator: s.indicator, unseen_ms: 50 });");
    browser_wait(b, "states.at(-1) === 'live'");
    run(b, "window.hide = hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
           "  document.dispatchEvent(new Event('visibilitychange')); }; hide(true);");
    browser_expect(b, ".live", "paused");
    run(b, "await tell(5); await tell(6); hide(false);");
    browser_wait(b, "states.at(-1) === 'live' && got.join() === '1,5,6'"); /* what was said meanwhile */

    run(b, "got.splice(1);");
    flow_kill(f, SIGKILL);
    browser_wait(b, "states.includes('reconnecting')");
    flow_wait_serving(f);
    browser_wait(b, "document.querySelector('.live').dataset.state === 'live'");
    run(b, "await tell(2);");
    browser_wait(b, "got.filter(one => one !== 'reset').join() === '1,2'"); /* nothing twice */

    EXPECT(f, 0, "removed", "plugin", "remove", "teller");
    browser_wait(b, "document.querySelector('.live').dataset.state === 'reconnecting'");
    run(b, "s.close();");
    browser_wait(b, "document.querySelector('.live').dataset.state === 'stopped'");
    free(browser_errors(b)); /* the host was away */
    end(f, b);
}
END_TEST

/* Asked for once, by however many; a wrong one is asked for again. */
START_TEST(token)
{
    struct flow *f = flow_new();
    flow_plugin(f, "web");
    flow_plugin(f, "teller");
    flow_env(f, "LISTENER", "listener-listener-listener");
    flow_config(f, "access.tokens",
                json_pack("[{s:s, s:s, s:[s]}]", "name", "ear", "secret", "LISTENER", "permissions", "listen"));
    flow_start(f);
    struct browser *b = browser_new(f);
    browser_open(b, "/ui/");
    browser_expect(b, "#health", "healthy");
    run(b, "const ui = await import('/ui/shared/ui.js'); window.got = [];"
           "for (let i = 0; i < 2; i++) document.querySelector('main').append("
           "  ui.events('/test/secret', { 'test.told': d => got.push(d.tag) }).indicator);");
    browser_expect(b, "dialog", "A token is needed");
    ck_assert_int_eq(browser_int(b, "document.querySelectorAll('dialog').length"), 1);
    browser_type(b, "dialog input", "something else");
    browser_keys(b, KEY_ENTER);
    browser_expect(b, "dialog", "The token is not known");
    browser_type(b, "dialog input", "listener-listener-listener");
    browser_keys(b, KEY_ENTER);
    browser_wait(b, "document.querySelectorAll('.live[data-state=live]').length === 2");
    ck_assert_int_eq(flow_http(f, "POST", "/test/tell", "{\"tag\": 3}",
                               (const char *const[]){"Content-Type: application/json", NULL}, NULL),
                     200);
    browser_wait(b, "got.join() === '3,3'");
    free(browser_errors(b)); /* each 401 */
    end(f, b);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("web");
    if (!browser_installed())
        return 77;
    tcase_set_timeout(c, 180);
    tcase_add_test(c, overview);
    tcase_add_test(c, parts);
    tcase_add_test(c, stream);
    tcase_add_test(c, token);
    return flow_main("pages_web", (TCase *[]){c, NULL});
}
