/* The plugin `customers`: the customers of a telecom operator, from files, tables and imports. Owns the tables of
 * components and routes. Loop thread. */
#include <cvm/cvm.h>

static const cvm_component components[] = {{.id = "cvm.data", .state_version = 1},
                                           {.id = "cvm.source.offers", .state_version = 1},
                                           {.id = "cvm.source.recommender", .state_version = 1},
                                           {.id = "cvm.source.usage", .state_version = 1},
                                           {.id = "cvm.source.prices", .state_version = 1},
                                           {.id = "cvm.source.campaigns", .state_version = 1},
                                           {.id = "cvm.source.demographics", .state_version = 1},
                                           {.id = "cvm.source.network", .state_version = 1},
                                           {.id = "cvm.source.call_transcripts", .state_version = 1},
                                           {.id = "cvm.source.web_transcripts", .state_version = 1},
                                           {.id = "cvm.source.permissions", .state_version = 1},
                                           {0}};

static const cvm_route routes[] = {{0}};

CVM_PLUGIN(.name = "customers", .version = "1.0.0", .components = components, .routes = routes);
