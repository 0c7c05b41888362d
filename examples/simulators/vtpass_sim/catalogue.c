/* See catalogue.h. The codes say nothing of what is in a bundle, as with the vendor: its "10mb" has 100 MB. */
#include "catalogue.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
const struct service services[SERVICES] = {
    {"mtn", "MTN Airtime VTU", AIRTIME}, {"glo", "GLO Airtime VTU", AIRTIME}, {"airtel", "Airtel Airtime VTU", AIRTIME},
    {"etisalat", "9mobile Airtime VTU", AIRTIME}, {"mtn-data", "MTN Data", DATA}, {"glo-data", "GLO Data", DATA},
    {"airtel-data", "Airtel Data", DATA}, {"etisalat-data", "9mobile Data", DATA},
    {"ikeja-electric", "Ikeja Electric Payment - IKEDC", POWER}, {"eko-electric", "Eko Electric Payment - EKEDC", POWER},
    {"kano-electric", "KEDCO - Kano Electric", POWER}, {"portharcourt-electric", "PHED - Port Harcourt Electric", POWER},
    {"jos-electric", "Jos Electric - JED", POWER}, {"ibadan-electric", "IBEDC - Ibadan Electricity", POWER},
    {"kaduna-electric", "Kaduna Electric - KAEDCO", POWER}, {"abuja-electric", "Abuja Electricity - AEDC", POWER},
    {"enugu-electric", "Enugu Electric - EEDC", POWER}, {"benin-electric", "Benin Electricity - BEDC", POWER},
    {"aba-electric", "Aba Electric Payment - ABEDC", POWER}, {"yola-electric", "Yola Electric - YEDC", POWER}};
const char *const service_ids[SERVICES] = {
    "mtn", "glo", "airtel", "etisalat", "mtn-data", "glo-data", "airtel-data", "etisalat-data", "ikeja-electric", "eko-electric",
    "kano-electric", "portharcourt-electric", "jos-electric", "ibadan-electric", "kaduna-electric", "abuja-electric", "enugu-electric",
    "benin-electric", "aba-electric", "yola-electric"};

static const struct {
    const char *service, *code, *name;
    int naira;
} bundles[] = {
    {"mtn-data", "mtn-10mb-100", "N100 100MB - 24 hrs", 100}, {"mtn-data", "mtn-50mb-200", "N200 200MB - 2 days", 200},
    {"mtn-data", "mtn-100mb-1000", "N1000 1.5GB - 30 days", 1000}, {"mtn-data", "mtn-500mb-2000", "N2000 4.5GB - 30 days", 2000},
    {"mtn-data", "mtn-20hrs-1500", "N1500 6GB - 7 days", 1500}, {"mtn-data", "mtn-40gb-10000", "N10000 40GB - 30 days", 10000},
    {"mtn-data", "mtn-75gb-15000", "N15000 75GB - 30 days", 15000}, {"mtn-data", "sim-mtn-500", "N500 1GB - 7 days", 500},
    {"mtn-data", "sim-mtn-1200", "N1200 2GB - 30 days", 1200}, {"mtn-data", "sim-mtn-5000", "N5000 10GB - 30 days", 5000},
    {"mtn-data", "sim-mtn-50000", "N50000 150GB - 365 days", 50000},
    {"glo-data", "glo100", "N100 105MB - 2 days", 100}, {"glo-data", "glo500", "N500 1.05GB - 14 days", 500},
    {"glo-data", "glo1000", "N1000 2.5GB - 30 days", 1000}, {"glo-data", "sim-glo-2000", "N2000 5.8GB - 30 days", 2000},
    {"glo-data", "sim-glo-5000", "N5000 18GB - 30 days", 5000}, {"glo-data", "sim-glo-45000", "N45000 125GB - 365 days", 45000},
    {"airtel-data", "airt-100", "N100 100MB - 1 day", 100}, {"airtel-data", "airt-500", "N500 1GB - 7 days", 500},
    {"airtel-data", "airt-1000", "N1000 1.5GB - 30 days", 1000}, {"airtel-data", "sim-airt-2000", "N2000 3GB - 30 days", 2000},
    {"airtel-data", "sim-airt-3000", "N3000 8GB - 30 days", 3000}, {"airtel-data", "sim-airt-5000", "N5000 13GB - 30 days", 5000},
    {"airtel-data", "sim-airt-45000", "N45000 120GB - 365 days", 45000},
    {"etisalat-data", "eti-100", "N100 100MB - 1 day", 100}, {"etisalat-data", "sim-eti-500", "N500 750MB - 7 days", 500},
    {"etisalat-data", "eti-1200", "N1200 1.5GB - 30 days", 1200}, {"etisalat-data", "sim-eti-3000", "N3000 4GB - 30 days", 3000},
    {"etisalat-data", "sim-eti-5000", "N5000 11GB - 30 days", 5000}, {"etisalat-data", "sim-eti-45000", "N45000 100GB - 365 days", 45000},
};
/* clang-format on */

#define BUNDLES (sizeof bundles / sizeof bundles[0])

bool bundle_price(const char *service, const char *code, int64_t *ret_kobo)
{
    for (size_t i = 0; i < BUNDLES; i++)
        if (strcmp(bundles[i].service, service) == 0 && strcmp(bundles[i].code, code) == 0) {
            *ret_kobo = (int64_t)bundles[i].naira * 100;
            return true;
        }
    return false;
}

json_t *bundles_json(const char *service)
{
    json_t *list = json_array();
    for (size_t i = 0; i < BUNDLES; i++) {
        char amount[32];
        if (strcmp(bundles[i].service, service) != 0)
            continue;
        snprintf(amount, sizeof amount, "%d.00", bundles[i].naira);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "variation_code", bundles[i].code, "name",
                                              bundles[i].name, "variation_amount", amount, "fixedPrice", "Yes"));
    }
    return list;
}
