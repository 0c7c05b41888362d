/* Options and examples of the built-in commands. An option of a usage line that has no line here is a fault that
 * flow/test_help finds. */
#include "cli/help.h"

#define COMPONENT "COMPONENT is an id or alias, as `cvmhost ps` shows it.\n"
#define STORE "STORE is the component that keeps it, as `cvmhost state stores` shows it.\n"
#define IF_VERSION                                                                                                     \
    "  --if-version N             only if that is still the version (0: there is none); of a store with versions\n"
#define NOW "  --now                      do not wait for open conversations: what waits becomes dead letters\n"
#define MODEL_FILES                                                                                                    \
    "  --text COLUMN              the column of texts, where its name is not a usual one\n"                            \
    "  --label COLUMN             the column of labels\n"                                                              \
    "  --heads HEADS              of JSON lines: topic,intent=domain/intent; or JSON; or @FILE\n"                      \
    "  --max-mib N                the largest size of the model (64)\n"

static const struct {
    const char *words, *text;
} texts[] = {
    {"dev", "Options:\n"
            "  --build COMMAND            run whenever a source is saved; what it builds is reloaded\n"
            "  --port N                   the port of the host, where this command starts one\n"
            "\nPATHS are watched for sources, besides the folders of the home. Ends with Ctrl-C.\n"
            "\nExample:\n  cvmhost dev --build 'make -C greet install' greet\n"},
    {"ps", "Example:\n  cvmhost ps --output csv\n"},
    {"plugin list", "Options:\n"
                    "  --kind KIND                components of this kind: agent, trigger, treatment, channel or "
                    "provider\n"
                    "\nExample:\n  cvmhost plugin list --kind agent\n"},
    {"agent list", "Options:\n"
                   "  --area AREA                those whose ids begin with it, such as service\n"
                   "\nExample:\n  cvmhost agent list --area service\n"},
    {"plugin info", "NAME is a plugin, or the id or alias of a component.\n"
                    "\nExample:\n  cvmhost plugin info NAME --output json\n"},
    {"plugin enable", "NAME is a plugin that `cvmhost plugin disable` took out of service.\n"},
    {"plugin disable", "Options:\n" NOW "\nIt stays so over restarts.\n"},
    {"plugin remove", "Options:\n" NOW "\nIts files leave the home. What it answered is answered 404 from then on.\n"},
    {"plugin revive", COMPONENT "Of a quarantined plugin its name will do.\n"},
    {"revive", "The same as plugin revive. " COMPONENT},
    {"reload",
     "Without NAME all plugins that differ from what runs, all or none. Messages go on meanwhile.\n"
     "\nExample:\n  cp build/orders.so HOME/plugins/ && cvmhost reload orders\n"
     "\nOptions:\n"
     "  --prove N     first run the newest N recorded conversations through them, muted and confined\n"
     "  --max-diff M  with --prove: allow M decisions, or turns where there are none, to come out differently (0);\n"
     "                P%: so many of a hundred\n"
     "  --canary P    while the new build is on probation it gets P of a hundred conversations, the one\n"
     "                before the others; then it gets all\n"},
    {"move",
     "  --process  to a process of its own, confined: it can hurt nobody; a message costs some 20 us more\n"
     "  --inline   into the host: fastest, for code you trust; a crash or hang there costs a restart\n"
     "\nMessages go on meanwhile; none is lost. It stays so over restarts and new builds, until it is moved again.\n"},
    {"upgrade", "PROGRAM is the cvmhost to go over to (default: the file that the running one was started from).\n"
                "\nOptions:\n"
                "  --check                    only say whether it could take over\n"
                "  --one-way                  also where it changes the database so that there is no way back\n"
                "\nClients wait meanwhile; a program that does not come to serve is replaced by the one before. Of a "
                "host that is\nrun by a service manager the signal SIGUSR2 to its main process does the same.\n"
                "\nExample:\n  cvmhost upgrade /opt/cvmhost-1.1/bin/cvmhost\n"},
    {"rollback", "NAME is a plugin that was reloaded; the generation before answers again.\n"},
    {"plugin vet", "Options:\n"
                   "  --manifest FILE            compare with this one, not with that of its name beside it\n"
                   "\nExit status: 0 may run inline, 5 may only be loaded, 3 may not be loaded.\n"},
    {"plugin new", "KIND is agent, trigger, treatment, channel, provider or, for a whole line of business, domain.\n"
                   "\nOptions:\n  --dir DIR                  where its folder is made (default: here)\n"
                   "\nExample:\n  cvmhost plugin new agent greeter\n"},
    {"plugin check", "Options:\n"
                     "  --manifest FILE            that of the plugin, where it does not stand beside it\n"
                     "  --messages N               how many random messages\n"
                     "  --seed N                   the same number draws the same messages\n"
                     "  --kills N                  how many times the process is killed between two steps\n"
                     "  --only CHECK               vet, manifest, lifecycle, messages, answers, limits, references, "
                     "leaks, determinism,\n"
                     "                             memory, state, restart or kill\n"
                     "  --previous FILE            an older build, whose stored state this one must read\n"
                     "  --state-from DIR           a home, whose stored state this one must read\n"
                     "\nExit status: 0 every check holds, 1 one does not, 3 the plugin cannot be read.\n"
                     "\nExample:\n  cvmhost plugin check build/orders.so --messages 1000\n"},
    {"model train", "FILE is labelled text: .csv or .tsv with a column of texts and one of labels, or .jsonl.\n"
                    "\nOptions:\n"
                    "  --out MODEL                the file to write\n" MODEL_FILES
                    "\nExample:\n  cvmhost model train cards.csv --out cards.model --text text --label category\n"},
    {"model eval",
     "MODEL is a file that model train wrote; FILE is as it takes them.\n"
     "\nOptions:\n"
     "  --folds N                  no model: train on all but a part, ask about that, N times\n" MODEL_FILES
     "\nExample:\n  cvmhost model eval cards.csv --folds 5 --output json\n"},
    {"model explain", "MODEL is a file that model train wrote, or a name of model list.\n"
                      "\nExample:\n  cvmhost model explain cards.model \"my card has not come\"\n"},
    {"sim", "Options:\n"
            "  --seeds N                  how many lives are simulated (default 200)\n"
            "  --first N                  the number of the first (default 1)\n"
            "  --seed N                   this one alone; with --verbose each of its steps\n"
            "  --plugins DIR              plugins of your own, or a home, instead of those that come with it\n"
            "  --jobs N                   processes at the same time (default 1)\n"
            "  --keep-going               do not stop at the first that fails\n"
            "  --verbose                  a line for each seed\n"
            "\nThe same number gives the same life. Exit status: 0 every invariant held, 1 one did not, 3 the plugins\n"
            "cannot be run, 4 there are none.\n"
            "\nExample:\n  cvmhost sim --seeds 1000 --jobs 2\n"},
    {"agent call",
     COMPONENT "\nOptions:\n"
               "  --data JSON|@FILE|-        the request: as it stands, of a file, or from standard input\n"
               "  --envelope FILE            a whole envelope instead of COMPONENT, TYPE and --data\n"
               "  --key K                    the same key is done once\n"
               "  --trace                    show every envelope it causes\n"
               "  --file FILE                JSON lines (\"-\": standard input): one call for each\n"
               "  --parallel N               how many of them at a time (default 8)\n"
               "\nExample:\n  cvmhost agent call COMPONENT TYPE --data '{\"name\": \"value\"}'\n"},
    {"bus tail", "Options:\n"
                 "  --topic T                  only what is published under this topic\n"
                 "  --component C              only what this component sends or gets\n"
                 "  --type TYPE                only envelopes of this type\n"
                 "\nEnds with Ctrl-C, or with --timeout.\n"},
    {"why", "ID is that of a conversation or message, or the key of a stored row; or what a loaded plugin explains, "
            "such as a\n"
            "customer about whom it decided, with ABOUT one of the things that it considered.\n"
            "\nExample:\n  cvmhost why MSG-000000000000000000000000000000ab\n"},
    {"export",
     "ID is that of a conversation or message, or the key of a stored row. The file has its turns, what they\n"
     "read, the configurations and manifests, and no secret. Telephone and other long numbers, e-mail addresses\n"
     "and names become others, the same ones everywhere; turns that come out differently for it are told.\n"
     "\nOptions:\n"
     "  --keep-personal            leave personal data as they are\n"
     "  --with-builds              with the plugins' code, so that it runs elsewhere as it stands\n"
     "\nExample:\n  cvmhost export MSG-000000000000000000000000000000ab --with-builds > case.json\n"},
    {"import", "FILE is what `cvmhost export` wrote. Makes a home of it, in --home, where no journal may be yet.\n"
               "\nOptions:\n"
               "  --replay                   run its turns at once, in a home that is removed afterwards\n"
               "\nExample:\n  cvmhost import case.json --replay\n"},
    {"replay",
     "ID is that of a conversation or message, or the key of a stored row: its conversations, and those they\n"
     "opened, go through the builds that ran them. Nothing is written, and nothing leaves.\n\nOptions:\n"
     "  --all                      the whole journal; only what differs is listed\n"
     "  --since TIME               turns since then (2026-03-01T08:30Z, 12h)\n"
     "  --limit N                  with --all: the newest N conversations\n"
     "  --with-current             through the plugins as they lie in the home now: what would change\n"
     "  --with LIBRARY             the same, with this library in place of its plugin's\n"
     "  --inline                   libraries run inside this command, not confined: faster, for code you trust\n"
     "\nExit status 1: a turn differs, or cannot be run any more.\n"
     "\nExample:\n  cvmhost replay --all --since 24h\n"},
    {"bisect", "Of the builds of a plugin that were in service from BUILD-A to BUILD-B (at least 6 characters of "
               "each), the first\n"
               "one with which the newest recorded conversations come out otherwise than with BUILD-A.\n\nOptions:\n"
               "  --limit N  that many conversations, those with decisions where there are any (100)\n"
               "\nExample:\n  cvmhost bisect 3f1c09ab77de 91d2c4e07a11\n"},
    {"conversation show", "ID is that of a conversation or of one of its messages.\n"},
    {"dlq list", "Options:\n"
                 "  --open                     only those that were not sent again\n"
                 "  --component C              only those addressed to this component\n"
                 "  --limit N                  at most so many (default 200)\n"},
    {"dlq show", "NUMBER is the id that `cvmhost dlq list` shows.\n"},
    {"dlq redrive", "NUMBER is the id that `cvmhost dlq list` shows.\n\nOptions:\n"
                    "  --all                      all that were not sent again yet\n"
                    "  --component C              with --all: only those addressed to this component\n"},
    {"state list", STORE "\nOptions:\n"
                         "  --prefix P                 only keys that begin so\n"
                         "  --after KEY                those behind this key: the next page\n"
                         "  --limit N                  at most so many (default 200)\n"},
    {"state get", STORE},
    {"state put", STORE "The value is JSON as it stands, of a file (@FILE), or from standard input (-).\n"
                        "\nOptions:\n" IF_VERSION "\nExample:\n  cvmhost state put STORE KEY '{\"count\": 1}'\n"},
    {"state delete", STORE "\nOptions:\n" IF_VERSION},
    {"log tail", "Options:\n"
                 "  --audit                    who did what, about whom, with what result, instead of the log\n"
                 "  -n N                       so many lines\n"
                 "  --follow                   go on with what comes, until Ctrl-C\n"},
    {"audit verify", "Options:\n"
                     "  --from SEQ                 believe the chain before this turn\n"
                     "  --since TIME               believe the chain before this time, such as 2026-03-01 or 7d\n"
                     "  --against HEAD             a head written down before: nothing up to it has changed since\n"
                     "\nReads the file itself, also beside a running host; it checks up to the turn that is the newest "
                     "when it begins.\n"
                     "\nExit status: 0 the chain holds, 1 it does not, 3 the journal cannot be read, 4 there is none.\n"
                     "\nExample:\n  cvmhost audit verify --since 7d --output json\n"},
    {"audit head", "Example:\n  cvmhost audit head --output json >/media/usb/head.json\n"},
    {"audit log", "Options:\n"
                  "  --agent A                  only of this component\n"
                  "  --action TYPE              only turns of messages of this type\n"
                  "  --subject ID               only of this conversation, such as an enquiry's id\n"
                  "  --outcome O                OK, PENDING, REFUSED, ERROR, ..\n"
                  "  --since TIME               2026-03-01, 2026-03-01T08:30Z, or so long ago: 90s, 30m, 12h, 7d\n"
                  "  --limit N                  the newest so many (default 200)\n"
                  "\nReads the file itself; needs no host. As they come: cvmhost log tail --audit --follow\n"},
    {"audit events", "Options:\n"
                     "  --what W                   only what begins so: host, plugin, process, state, edge, ..\n"
                     "  --since TIME               2026-03-01, 2026-03-01T08:30Z, or so long ago: 90s, 30m, 12h, 7d\n"
                     "  --limit N                  the newest so many (default 200)\n"
                     "\nReads the file itself; needs no host.\n"},
    {"journal prune",
     "Options:\n"
     "  --dry-run                  only count what would go\n"
     "  --now                      do it, beside what the host does by itself\n"
     "  --before DATE              older than this day (2026-01-31) and not than journal.keep_days\n"
     "\nOf a conversation that is over its decisions and final context stay; `cvmhost why` shows them.\n"
     "\nExample:\n  cvmhost journal prune --dry-run --before 2026-01-31\n"},
    {"backup", "DIR is made; it must not be there. Secrets (.env, secrets.file) are not copied.\n"
               "\nExample:\n  cvmhost backup /var/backups/cvmhost/$(date +%F)\n"},
    {"restore", "DIR was made by `cvmhost backup`. No host may run in the home.\n"
                "\nOptions:\n"
                "  --force                    also over a home that is not empty; what stood there is set aside\n"
                "\nExit status: 0 restored, 1 failed, 3 the backup is damaged, 5 refused.\n"
                "\nExample:\n  cvmhost --home /srv/desk restore /var/backups/cvmhost/2026-01-31\n"},
    {"db check", "FILE is a database to check instead of the home's own, such as that of a backup.\n"
                 "\nOptions:\n"
                 "  --deep                     every row and every page, not a sample of them\n"
                 "  --repair-advice            how to save what can be read of a damaged file\n"
                 "  --schema                   tables, columns, defaults and indexes, against what manifests declare\n"
                 "\nExit status: 0 nothing found, 1 something is not as it should be, 3 the file is damaged.\n"
                 "\nExample:\n  cvmhost db check --deep\n"},
    {"permission list", "Tokens are those of access.tokens in the configuration.\n"},
    {"openapi", "Example:\n  cvmhost openapi >routes.json\n"},
    {"config show", "PATH is a setting or section, such as http or http.port.\n"
                    "\nExample:\n  cvmhost config show http\n"},
    {"config check", "Exit status: 0 a host would start, 3 it would not; warnings change nothing.\n"},
    {"completion", "Examples:\n"
                   "  source <(cvmhost completion bash)\n"
                   "  cvmhost completion fish | source\n"},
    {"help", "Example:\n  cvmhost help plugin list\n"},
};

const char *help_text(const char *words)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(texts[i].words, words) == 0)
            return texts[i].text;
    return NULL;
}
