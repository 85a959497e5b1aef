/*
 * Addresses, keys and waits: what is text outside and a value inside.
 */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "plan/address.h"
#include "plan/backoff.h"
#include "plan/desired.h"
#include "plan/key.h"


Test(address, texts_go_in_and_out_unchanged)
{
    static const char *const addresses[] = {
        "0.0.0.0", "10.1.2.3",    "255.255.255.255",
        "::",      "2001:db8::1", "fd00::ffff"};
    static const char *const endpoints[] = {
        "192.0.2.1:1", "192.0.2.1:65535", "[2001:db8::1]:51820",
        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"};
    static const char *const prefixes[] = {
        "10.0.0.0/8", "10.1.2.3/32", "0.0.0.0/0", "fd00::/64", "fd00::1/128"};
    struct address address;
    struct endpoint endpoint;
    struct prefix prefix;
    char text[ADDRESS_TEXT];
    size_t i;

    for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        cr_assert(address_parse(addresses[i], &address));
        cr_assert_str_eq(address_format(&address, text), addresses[i]);
    }

    for (i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        cr_assert(endpoint_parse(endpoints[i], &endpoint));
        cr_assert_str_eq(endpoint_format(&endpoint, text), endpoints[i]);
    }

    for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        cr_assert(prefix_parse(prefixes[i], &prefix));
        cr_assert_str_eq(prefix_format(&prefix, text), prefixes[i]);
    }

    cr_assert(prefix_parse("10.1.2.3", &prefix));
    cr_assert_eq(prefix.length, 32);

    /* what is not there has no text and no bits */
    memset(&endpoint, 0, sizeof(endpoint));
    cr_assert_str_eq(endpoint_format(&endpoint, text), "");
    cr_assert_str_eq(address_format(&endpoint.address, text), "");
    cr_assert_eq(address_bits(&endpoint.address), 0);
}


Test(address, nonsense_is_refused)
{
    static const char *const endpoints[] = {
        "",
        "1.2.3.4",
        "1.2.3.4:",
        "1.2.3.4:0",
        "1.2.3.4:x",
        "1.2.3.4:01",
        "1.2.3.4:65536",
        "1.2.3.4:-1",
        "::1:5",
        "[1.2.3.4]:5",
        "[::1]",
        "[::1]5",
        "[::1:5",
        "host:5",
        " 1.2.3.4:5",
        "1.2.3.4:5 ",
        "[fe80::1%eth0]:5",
        "111111111111111111111111111111111111111111111111111111111111111111:5"};
    static const char *const prefixes[] = {
        "",        "1.2.3.4/33", "1.2.3.4/",    "1.2.3.4/-1",
        "1.2.3/8", "fd00::/129", "10.0.0.0/08", "10.0.0.0/8/8"};
    struct endpoint endpoint;
    struct prefix prefix;
    size_t i;

    for (i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        cr_expect_not(endpoint_parse(endpoints[i], &endpoint), "%s",
                      endpoints[i]);
    }

    for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        cr_expect_not(prefix_parse(prefixes[i], &prefix), "%s", prefixes[i]);
    }
}


Test(address, a_prefix_contains_its_range_and_no_more)
{
    static const struct {
        const char *prefix;
        const char *address;
        bool inside;
    } cases[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"192.168.1.77/25", "192.168.1.0", true},
        {"192.168.1.77/25", "192.168.1.128", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "::1", false},
        {"1.2.3.4/32", "1.2.3.4", true},
        {"1.2.3.4/32", "1.2.3.5", false},
        {"fd00::/65", "fd00::7fff:ffff:ffff:ffff", true},
        {"fd00::/65", "fd00:0:0:0:8000::", false},
        {"2001:db8::1/128", "2001:db8::1", true},
    };
    struct address address;
    struct prefix prefix;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert(prefix_parse(cases[i].prefix, &prefix));
        cr_assert(address_parse(cases[i].address, &address));
        cr_expect_eq(prefix_contains(&prefix, &address), cases[i].inside,
                     "%s in %s", cases[i].address, cases[i].prefix);
    }

    memset(&address, 0, sizeof(address));
    cr_assert_not(prefix_contains(&prefix, &address));
    memset(&prefix, 0, sizeof(prefix));
    cr_assert_not(prefix_contains(&prefix, &address));
}


Test(address, special_ones_are_known)
{
    static const char *const special[] = {
        "0.0.0.0",   "127.0.0.1",       "169.254.1.1", "224.0.0.1",
        "240.1.1.1", "255.255.255.255", "::",          "::1",
        "fe80::1",   "febf::1",         "ff02::1"};
    static const char *const plain[] = {"10.0.0.1", "169.253.1.1", "223.1.1.1",
                                        "fd00::1",  "2001:db8::1", "fec0::1"};
    struct address address;
    size_t i;

    for (i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        cr_assert(address_parse(special[i], &address));
        cr_expect(address_is_special(&address), "%s", special[i]);
    }

    for (i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        cr_assert(address_parse(plain[i], &address));
        cr_expect_not(address_is_special(&address), "%s", plain[i]);
    }

    memset(&address, 0, sizeof(address));
    cr_expect(address_is_special(&address));
}


Test(key, base64_and_hex_of_every_byte)
{
    char base64[KEY_BASE64_SIZE], hex[KEY_HEX_SIZE];
    struct key key, back;
    unsigned n;

    for (n = 0; n < 256; n++) {
        memset(key.bytes, (int) n, KEY_BYTES);
        key.bytes[n % KEY_BYTES] ^= (uint8_t) (n * 7);

        key_to_base64(&key, base64);
        cr_assert_eq(strlen(base64), 44);
        cr_assert(key_from_base64(base64, &back), "%s", base64);
        cr_assert(key_equal(&key, &back));

        key_to_hex(&key, hex);
        cr_assert_eq(strlen(hex), 64);
        cr_assert(key_from_hex(hex, &back), "%s", hex);
        cr_assert_eq(key_compare(&key, &back), 0);
    }
}


/* RFC 7748, 6.1: Alice's private and public key. */
Test(key, known_texts)
{
    struct key key;
    char text[KEY_HEX_SIZE];

    cr_assert(
        key_from_base64("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=", &key));
    key_to_hex(&key, text);
    cr_assert_str_eq(
        text,
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    cr_assert(key_from_hex(
        "77076D0A7318A57D3C16C17251B26645DF4C2F87EBC0992AB177FBA51DB92C2A",
        &key));
    key_to_base64(&key, text);
    cr_assert_str_eq(text, "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=");
}


Test(key, nonsense_is_refused)
{
    static const char *const base64[] = {
        "",
        "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo",
        "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo==",
        "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCp=", /* stray bits */
        "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LC==",
        "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25L-o=",
        "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25L\xc3o=",
        " wdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=",
    };
    static const char *const hex[] = {
        "", "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2",
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2g",
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a0"};
    struct key key;
    size_t i;

    for (i = 0; i < sizeof(base64) / sizeof(base64[0]); i++) {
        cr_expect_not(key_from_base64(base64[i], &key), "%s", base64[i]);
    }

    for (i = 0; i < sizeof(hex) / sizeof(hex[0]); i++) {
        cr_expect_not(key_from_hex(hex[i], &key), "%s", hex[i]);
    }

    memset(&key, 0, sizeof(key));
    cr_assert(key_is_zero(&key));
    key.bytes[31] = 1;
    cr_assert_not(key_is_zero(&key));
    key_wipe(&key, sizeof(key));
    cr_assert(key_is_zero(&key));
}


Test(backoff, doubles_up_to_its_cap_and_jitters)
{
    struct backoff backoff;
    uint64_t window, low, high;
    unsigned i;

    backoff_init(&backoff, 500, 60000);
    window = 500;

    for (i = 0; i < 200; i++) {
        struct backoff twin = backoff;

        low = backoff_failed(&twin, 0);
        high = backoff_failed(&backoff, UINT32_MAX);
        cr_assert_eq(low, window / 4);
        cr_assert(high <= window && high >= window - 1, "%u", i);
        window = window * 2 > 60000 ? 60000 : window * 2;
    }

    backoff_reset(&backoff);
    cr_assert_eq(backoff_failed(&backoff, 0), 125);
}


static bool
taken_by_list(const char *name, void *data)
{
    const char *const *list = data;
    size_t i;

    for (i = 0; list[i] != NULL; i++) {
        if (strcmp(list[i], name) == 0) {
            return true;
        }
    }

    return false;
}


static bool
taken_always(const char *name, void *data)
{
    size_t *tries = data;

    cr_assert_lt(strlen(name), ACTUAL_NAME_SIZE);
    (*tries)++;

    return true;
}


Test(desired, names_of_interfaces)
{
    static const char *const id = "abcdef01-2345-4789-8abc-def012345678";
    static const char *const none[] = {NULL};
    static const char *const one[] = {"gc-gaming-n", "gc-lan", NULL};
    static const char *const two[] = {"gc-lan", "gc-lan-abc", NULL};
    char name[ACTUAL_NAME_SIZE];
    size_t tries;

    cr_assert(desired_name("lan", id, taken_by_list, (void *) none, name));
    cr_assert_str_eq(name, "gc-lan");
    cr_assert(
        desired_name("gaming-night", id, taken_by_list, (void *) none, name));
    cr_assert_str_eq(name, "gc-gaming-n");
    cr_assert(
        desired_name("gaming-night", id, taken_by_list, (void *) one, name));
    cr_assert_str_eq(name, "gc-gaming-n-abc");
    cr_assert_eq(strlen(name), 15);
    cr_assert(desired_name("lan", id, taken_by_list, (void *) two, name));
    cr_assert_str_eq(name, "gc-lan-bcd");

    /* a hyphen at the cut, and slugs that are none */
    cr_assert(
        desired_name("seven77-up", id, taken_by_list, (void *) none, name));
    cr_assert_str_eq(name, "gc-seven77");
    cr_assert(desired_name("", id, taken_by_list, (void *) none, name));
    cr_assert_str_eq(name, "gc-net");
    cr_assert(desired_name("../%s", id, taken_by_list, (void *) none, name));
    cr_assert_str_eq(name, "gc-s");

    tries = 0;
    cr_assert_not(desired_name("lan", id, taken_always, &tries, name));
    cr_assert_eq(tries, 1 + 30);
}


Test(desired, aliases_go_in_and_out)
{
    static const char *const id = "abcdef01-2345-4789-8abc-def012345678";
    char alias[ACTUAL_ALIAS_SIZE], back[NETMAP_ID_SIZE];

    desired_alias(id, alias);
    cr_assert_str_eq(alias, "goconnect:abcdef01-2345-4789-8abc-def012345678");
    cr_assert(desired_alias_parse(alias, back));
    cr_assert_str_eq(back, id);
    cr_assert_not(desired_alias_parse("goconnect:", back));
    cr_assert_not(desired_alias_parse("Goconnect:abcdef01", back));
    cr_assert_not(desired_alias_parse(
        "goconnect:abcdef01-2345-4789-8abc-def01234567 ", back));
    cr_assert_not(desired_alias_parse("", back));
}


Test(address, public_ones_are_for_the_whole_internet)
{
    static const char *const public[] = {
        "192.0.2.1",   "11.0.0.1",    "172.32.0.1",   "100.128.0.1",
        "192.169.0.1", "2001:db8::1", "172.15.255.1", "9.255.255.255"};
    static const char *const private[] = {
        "10.0.0.1",   "172.16.0.1",  "172.31.255.255", "192.168.1.1",
        "100.64.0.1", "100.127.0.1", "fd00::1",        "fc00::1",
        "127.0.0.1",  "169.254.1.1", "fe80::1",        "::1"};
    struct address address;
    size_t i;

    for (i = 0; i < sizeof(public) / sizeof(public[0]); i++) {
        cr_assert(address_parse(public[i], &address), "%s", public[i]);
        cr_expect(address_is_public(&address), "%s", public[i]);
    }

    for (i = 0; i < sizeof(private) / sizeof(private[0]); i++) {
        cr_assert(address_parse(private[i], &address), "%s", private[i]);
        cr_expect_not(address_is_public(&address), "%s", private[i]);
    }

    memset(&address, 0, sizeof(address));
    cr_expect_not(address_is_public(&address));
}
