/* /ui/cvm in a browser: customers with their journey, a decision and why, triggers, treatments, allocations. */
#include "browser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOSTILE                                                                                                        \
    "<img src=x onerror=alert(1)> \xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d </p><script>document.title='gone'</script>"
#define FIRST_PAINT_MS 400
#define SLACK 4 /* a machine that does other things too */

static struct flow *host(void)
{
    struct flow *f = flow_new();
    flow_product(f);
    flow_start(f);
    return f;
}

static void end(struct flow *f, struct browser *b)
{
    browser_quiet(b);
    browser_free(b);
    flow_end(f);
}

START_TEST(a_customer_and_why)
{
    struct flow *f = host();
    struct browser *b = browser_new(f);
    browser_open(b, "/ui/cvm");
    browser_wait(b, "document.querySelectorAll('.pick').length === 50");
    int64_t paint = browser_first_paint_ms(b);
    printf("first contentful paint after %lld ms\n", (long long)paint);
    ck_assert_int_lt(paint, (int64_t)FIRST_PAINT_MS * SLACK);
    browser_fill(b, "#find", "U124");
    browser_keys(b, KEY_ENTER);
    browser_expect(b, "#journey", "signal");
    ck_assert_int_gt(browser_int(b, "document.querySelectorAll('#journey li').length"), 10);
    browser_click(b, "#decide");
    browser_expect(b, "#chosen", "Retention call");
    browser_expect(b, "#explanation", "the churn score is 0.74");
    ck_assert_int_gt(browser_int(b, "document.querySelectorAll('td progress').length"), 5);
    browser_looks(b, "cvm-customer");
    browser_click(b, "[data-tab=allocations]");
    browser_expect(b, "[data-treatment=retention_call]", "1 of 20");
    browser_expect(b, "#history", "U124");
    browser_looks(b, "cvm-allocations");
    browser_click(b, "#reset");
    browser_click(b, "dialog .primary");
    browser_expect(b, "[data-treatment=retention_call]", "0 of 20");
    browser_open(b, "/ui/cvm#U999999");
    browser_expect(b, "main", "There is no customer U999999");
    end(f, b);
}
END_TEST

START_TEST(triggers_and_treatments)
{
    struct flow *f = host();
    struct browser *b = browser_new(f);
    browser_open(b, "/ui/cvm");
    browser_click(b, "[data-tab=triggers]");
    browser_click(b, "[data-trigger=churn_risk]");
    browser_expect(b, "#matches", "the churn score is");
    browser_looks(b, "cvm-triggers");
    json_decref(browser_run(b, "document.querySelector('#apply-treatment').value = 'retention_email'"));
    browser_click(b, "#apply");
    browser_click(b, "dialog .primary");
    browser_expect(b, ".toasts", " customers got it");
    browser_click(b, "[data-tab=treatments]");
    browser_fill(b, "#new-treatment", "Send a thank-you SMS to loyal customers, at most 7 a day, cost 0.10");
    browser_click(b, "#add-treatment");
    browser_click(b, "[data-edit]");
    browser_fill(b, "#editor [name=display_name]", "Thanks <b>you</b>");
    browser_fill(b, "#editor [name=description]", HOSTILE);
    browser_click(b, "#editor .primary");
    browser_expect(b, "#treatments", "<img src=x onerror=alert(1)>");
    browser_expect(b, "#treatments", "at most 7 a day");
    ck_assert_int_eq(browser_int(b, "document.querySelectorAll('#treatments img, #treatments script').length"), 0);
    ck_assert_int_eq(browser_int(b, "document.title.startsWith('Decisions')"), 1);
    browser_looks(b, "cvm-treatments");
    browser_click(b, "[data-remove]");
    browser_click(b, "dialog .primary");
    browser_wait(b, "document.querySelectorAll('[data-edit]').length === 0");
    end(f, b);
}
END_TEST

/* Everything with keys alone: tabs by arrows, a customer by Enter, the decision by Space. */
START_TEST(keyboard)
{
    struct flow *f = host();
    struct browser *b = browser_new(f);
    browser_open(b, "/ui/cvm");
    browser_wait(b, "document.querySelectorAll('.pick').length === 50");
    browser_keys(b, KEY_TAB);
    browser_wait(b, "document.activeElement.className === 'skip'");
    browser_keys(b, KEY_ENTER KEY_TAB KEY_RIGHT);
    browser_wait(b, "document.activeElement.dataset.tab === 'triggers'");
    browser_keys(b, KEY_LEFT KEY_TAB KEY_TAB KEY_TAB KEY_TAB);
    browser_wait(b, "document.activeElement.classList.contains('pick')");
    browser_keys(b, KEY_ENTER);
    browser_wait(b, "document.querySelector('#decide')");
    for (int i = 0; i < 60 && !browser_int(b, "document.activeElement.id === 'decide'"); i++)
        browser_keys(b, KEY_TAB);
    browser_keys(b, KEY_SPACE);
    browser_wait(b, "document.querySelector('#explanation')");
    end(f, b);
}
END_TEST

int main(void)
{
    if (!browser_installed())
        return 77;
    TCase *c = tcase_create("cvm");
    tcase_set_timeout(c, 180);
    tcase_add_test(c, a_customer_and_why);
    tcase_add_test(c, triggers_and_treatments);
    tcase_add_test(c, keyboard);
    return flow_main("cvm", (TCase *[]){c, NULL});
}
