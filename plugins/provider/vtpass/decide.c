/* Owns the table of the vendor's codes. Money is given back on VT_FAILED and its kin, so only what certainly means "not
 * vended" is there; what nobody has listed is not final. Pure; any thread. */
#include "vtpass.h"

#include <strings.h>

#define NO_STATUS "The vendor does not say what became of the order"

/* Of each code: what it says of a payment, and of a status query. A query's own troubles say nothing of the order. */
/* clang-format off */
static const struct {
    const char *code;
    enum vt_action of_pay, of_requery;
    const char *error_code, *message;
} rows[] = {
    {"016", VT_FAILED, VT_FAILED, "NETWORK_ERROR", "The transaction failed"},
    {"040", VT_FAILED, VT_FAILED, "NETWORK_ERROR", "The transaction was reversed"},
    {"091", VT_FAILED, VT_FAILED, "NETWORK_ERROR", "The transaction was not processed"},
    {"044", VT_MANUAL, VT_MANUAL, "MANUAL", "The vendor has resolved the transaction by hand"},
    {"099", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN", "The transaction is being processed"},
    {"089", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN", "The request is being processed"},
    {"083", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN", "The vendor's system has trouble"},
    {"020", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN", NO_STATUS},
    {"010", VT_FAILED, VT_ASK_LATER, "INVALID_BUNDLE", "There is no such bundle"},
    {"011", VT_FAILED, VT_ASK_LATER, "UNKNOWN", "The order was not understood"},
    {"012", VT_FAILED, VT_ASK_LATER, "UNKNOWN", "There is no such product"},
    {"013", VT_FAILED, VT_ASK_LATER, "INVALID_AMOUNT", "The amount is too low"},
    {"017", VT_FAILED, VT_ASK_LATER, "INVALID_AMOUNT", "The amount is too high"},
    {"031", VT_FAILED, VT_ASK_LATER, "INVALID_AMOUNT", "The quantity is too low"},
    {"032", VT_FAILED, VT_ASK_LATER, "INVALID_AMOUNT", "The quantity is too high"},
    {"025", VT_FAILED, VT_ASK_LATER, "UNKNOWN", "The bank is not valid"},
    {"014", VT_ASK_NOW, VT_ASK_LATER, "DUPLICATE", "The request id exists already"},
    {"015", VT_ASK_LATER, VT_RESEND, "CONNECTION_ERROR", "The order never arrived at the vendor"},
    {"018", VT_LOW, VT_ASK_LATER, "INSUFFICIENT_BALANCE", "Our balance with the vendor is too low"},
    {"019", VT_WAIT, VT_ASK_LATER, "DUPLICATE", "The vendor takes it for a repeat of an order of a moment ago"},
    {"021", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR", "The account is locked"},
    {"022", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR", "The account is suspended"},
    {"023", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR", "The account has no access to the interface"},
    {"024", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR", "The account is inactive"},
    {"026", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR", "The account is not verified"},
    {"027", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR", "This machine's address is not on the vendor's list"},
    {"028", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR", "The product is not on the account's list"},
    {"085", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR", "The date in the request id is wrong; is the clock right?"},
    {"087", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR", "The keys are wrong"},
    {"030", VT_UNREACHABLE, VT_ASK_LATER, "NETWORK_ERROR", "The biller cannot be reached"},
    {"034", VT_SERVICE_OFF, VT_ASK_LATER, "NETWORK_ERROR", "The service is suspended"},
    {"035", VT_SERVICE_OFF, VT_ASK_LATER, "NETWORK_ERROR", "The service is inactive"},
};

/* Of an answer that has a transaction. */
static const struct {
    const char *status;
    enum vt_action action;
    const char *error_code, *message;
} states[] = {
    {"delivered", VT_DONE, "", ""},
    {"failed", VT_FAILED, "NETWORK_ERROR", "The transaction failed"},
    {"reversed", VT_FAILED, "NETWORK_ERROR", "The transaction was reversed"},
};
/* clang-format on */

struct vt_decision vt_decide(enum vt_asked asked, const char *code, const char *status)
{
    if (strcmp(code, "000") == 0 || strcmp(code, "001") == 0)
        for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
            if (strcasecmp(states[i].status, status) == 0)
                return (struct vt_decision){states[i].action, states[i].error_code, states[i].message};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].code, code) == 0)
            return (struct vt_decision){asked == VT_PAY ? rows[i].of_pay : rows[i].of_requery, rows[i].error_code,
                                        rows[i].message};
    return (struct vt_decision){VT_ASK_LATER, "UNKNOWN", NO_STATUS};
}
