/* Reading the rows of list_transactions. Pure; any thread. */
#include "claims.h"

#include "phone.h"
#include "sale.h"

#include <cvm/money.h>
#include <inttypes.h>
#include <time.h>

static int64_t time_of(const json_t *row)
{
    struct tm tm = {.tm_isdst = 0};
    if (sscanf(cvm_json_str(row, "initiated_at", ""), "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm) * 1000;
}

static int64_t kobo_of(const json_t *row, const char *member)
{
    int64_t kobo;
    return cvm_money_from_json(json_object_get(row, member), &kobo) < 0 ? 0 : kobo;
}

static bool same_number(const char *a, const char *b)
{
    char one[PHONE_SIZE], other[PHONE_SIZE];
    return phone_normalise(a, one) == CVM_OK && phone_normalise(b, other) == CVM_OK && strcmp(one, other) == 0;
}

static bool is_of(const json_t *row, const char *service)
{
    return strcmp(cvm_json_str(row, "service_type", ""), service) == 0;
}

const json_t *books_newest(const json_t *transactions, const char *service, const char *recipient, int64_t kobo)
{
    for (size_t i = 0; i < json_array_size(transactions); i++) {
        const json_t *row = json_array_get(transactions, i);
        if (is_of(row, service) && (!*recipient || same_number(cvm_json_str(row, "recipient", ""), recipient)) &&
            (!kobo || kobo_of(row, "amount") == kobo))
            return row;
    }
    return NULL;
}

static bool alike(const json_t *a, const json_t *b)
{
    static const char *const members[] = {"service_type", "network_or_disco", "recipient", "amount"};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (!json_equal(json_object_get(a, members[i]), json_object_get(b, members[i])))
            return false;
    return true;
}

bool books_repeat(const json_t *transactions, const char *service, int64_t minutes, const json_t *ret_two[2])
{
    size_t n = json_array_size(transactions);
    for (size_t i = 0; i < n; i++) {
        const json_t *newer = json_array_get(transactions, i);
        if (!is_of(newer, service))
            continue;
        for (size_t k = i + 1; k < n; k++) {
            const json_t *older = json_array_get(transactions, k);
            if (time_of(newer) - time_of(older) > minutes * 60000)
                break;
            if (alike(newer, older)) {
                ret_two[0] = newer;
                ret_two[1] = older;
                return true;
            }
        }
    }
    return false;
}

int64_t books_age_hours(const json_t *row, int64_t now_ms)
{
    int64_t at = time_of(row);
    return at ? (now_ms - at) / INT64_C(3600000) : 0;
}

void books_text(const json_t *row, char *ret_text, size_t size)
{
    char amount[40], total[40], local[PHONE_SIZE], reference[64] = "";
    const char *status = cvm_json_str(row, "status", ""), *external = cvm_json_str(row, "external_reference", "");
    sale_naira_exact(kobo_of(row, "amount"), amount);
    sale_naira_exact(kobo_of(row, "total_amount"), total);
    if (*external && strncmp(external, "TXN-", 4) != 0) /* an answer names its own enquiry's transaction only */
        snprintf(reference, sizeof reference, " Reference %.40s.", external);
    size_t at = (size_t)snprintf(ret_text, size, "%s for %s on %.20s on %.10s ", amount,
                                 phone_local(cvm_json_str(row, "recipient", ""), local),
                                 cvm_json_str(row, "network_or_disco", ""), cvm_json_str(row, "initiated_at", ""));
    if (at >= size)
        return;
    if (strcmp(status, "SUCCESS") == 0)
        snprintf(ret_text + at, size - at, "was successful.%s", reference);
    else if (strcmp(status, "REFUNDED") == 0)
        snprintf(ret_text + at, size - at, "failed, and %s was returned to your wallet.", total);
    else if (strcmp(status, "FAILED") == 0)
        snprintf(ret_text + at, size - at, "failed.");
    else
        snprintf(
            ret_text + at, size - at,
            "is not confirmed yet. Please do not repeat it: within minutes it arrives, or %s returns to your wallet.",
            total);
}

size_t books_history(const json_t *transactions, const char *service, size_t most, char *ret_text, size_t size)
{
    char one[320];
    size_t n = 0, at = 0;
    ret_text[0] = '\0';
    for (size_t i = 0; i < json_array_size(transactions) && n < most; i++) {
        const json_t *row = json_array_get(transactions, i);
        if (!is_of(row, service))
            continue;
        books_text(row, one, sizeof one);
        if (at + strlen(one) + 8 > size)
            break;
        n++;
        at += (size_t)snprintf(ret_text + at, size - at, "%s%zu. %s", n > 1 ? " " : "", n, one);
    }
    return n;
}
