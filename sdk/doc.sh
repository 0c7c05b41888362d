#!/bin/sh
# Writes the reference of the SDK, made of its headers, to standard output: sdk/doc.sh >docs/reference/sdk.md
cd "$(dirname "$0")/.." || exit 1
cat <<'TXT'
# The SDK

Made of the headers by `sdk/doc.sh`; change those. How a plugin is written: [the tutorial](../tutorial.md), [howto/plugin.md](../howto/plugin.md). The
manifest: [manifest.md](manifest.md). The errors: [errors.md](errors.md).

| header | what | link with |
|---|---|---|
| `<cvm/cvm.h>` | the contract between host and plugin | `pkg-config --cflags --libs cvmhost-sdk` |
| `<cvm/job.h>` | long work beside the loop; included by `<cvm/cvm.h>` | the same |
| `<cvm/mail.h>` | mail by SMTP; included by `<cvm/cvm.h>` | the same |
| `<cvm/json.h>`, `<cvm/money.h>` | small helpers, inline | the same |
| `<cvm/harness.h>` | tests of a plugin without a host | `pkg-config --cflags --libs cvmhost-harness` |
TXT
exec awk -f sdk/doc.awk sdk/include/cvm/cvm.h sdk/include/cvm/job.h sdk/include/cvm/mail.h sdk/include/cvm/json.h sdk/include/cvm/money.h sdk/include/cvm/harness.h
