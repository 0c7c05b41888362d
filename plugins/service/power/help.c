/* How to load a token, by brand of meter, and what a meter means when it refuses one. Pure; any thread. */
#include "power.h"

static const struct {
    const char *word, *brand, *steps;
} brands[] = {
    {"hexing", "Hexing",
     "On a Hexing meter use the keypad unit in the house: it must show a reading before you begin. Enter the 20 digits "
     "and press the ENTER key (the bent arrow). The screen says ACCEPT and beeps."},
    {"mojec", "Mojec",
     "On a Mojec meter wake the keypad with any key, enter the 20 digits in groups of four and press ENTER. Wait "
     "for the beep and the word GOOD."},
    {"conlog", "Conlog",
     "On a Conlog meter enter the 20 digits on the keypad unit and press #. It beeps and shows the new units; a wrong "
     "digit is taken back with the star key."},
};

const char *token_help_brand(const char *words)
{
    for (size_t i = 0; i < sizeof brands / sizeof brands[0]; i++)
        if (words_have(words, brands[i].word))
            return brands[i].brand;
    return "";
}

void token_help_text(const char *words, char *ret_text, size_t size)
{
    size_t at = (size_t)snprintf(ret_text, size,
                                 "To load a token: 1. go to the keypad of the meter; 2. enter the 20 digits of the "
                                 "token; 3. press ENTER or #; 4. wait for the beep. ");
    bool named = false;
    for (size_t i = 0; i < sizeof brands / sizeof brands[0] && at < size; i++) {
        if (!words_have(words, brands[i].word))
            continue;
        named = true;
        at += (size_t)snprintf(ret_text + at, size - at, "%s ", brands[i].steps);
    }
    if (!named && at < size)
        at += (size_t)snprintf(ret_text + at, size - at,
                               "Tell me the brand of your meter (Hexing, Mojec or Conlog) for its own keys. ");
    if (at < size)
        snprintf(ret_text + at, size - at,
                 "If it says REJECT or INVALID, compare every digit and the meter number on the receipt; USED means it "
                 "is loaded already; OLD means that it came too late. Two key change tokens, if you were given any, go "
                 "in first. If it still refuses, write METER FAULT with your meter number.");
}
