/*
 * What the request path checks outside bytes with: UTF-8, UUIDs, ranges,
 * keys, endpoints, invite codes, depth of JSON.
 */

#include <criterion/criterion.h>
#include <string.h>

#include "core/gc_cidr.h"
#include "core/gc_crockford.h"
#include "core/gc_endpoint.h"
#include "core/gc_json.h"
#include "core/gc_prefix.h"
#include "core/gc_rule.h"
#include "core/gc_status.h"
#include "core/gc_utf8.h"
#include "core/gc_uuid.h"
#include "core/gc_wgkey.h"


static int
utf8(const char *text)
{
    size_t n;

    return gc_utf8_count(text, strlen(text), &n) == 0 ? (int) n : -1;
}


Test(checks, utf8_counts_characters)
{
    cr_assert_eq(utf8(""), 0);
    cr_assert_eq(utf8("plain"), 5);
    cr_assert_eq(utf8("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), 3);
    cr_assert_eq(utf8("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"), 3);
}


Test(checks, utf8_refuses_what_is_none)
{
    static const char *const bad[] = {
        "\x80",             /* a tail alone */
        "\xc3",             /* cut off */
        "\xc0\xaf",         /* overlong */
        "\xe0\x80\xaf",     /* overlong */
        "\xf0\x80\x80\xaf", /* overlong */
        "\xed\xa0\x80",     /* surrogate */
        "\xf4\x90\x80\x80", /* beyond U+10FFFF */
        "\xff",
        "\xe2\x28\xa1",
    };
    size_t i, n;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(utf8(bad[i]), -1, "%zu", i);
    }

    cr_assert_eq(gc_utf8_count("a\0b", 3, &n), -1);
}


Test(checks, uuid)
{
    static const char good[] = "0123abcd-0123-4567-89ab-0123456789ab";
    char bad[sizeof(good)];
    size_t i;

    cr_assert(gc_uuid_valid(good, GC_UUID_LEN));
    cr_assert_not(gc_uuid_valid(good, GC_UUID_LEN - 1));
    cr_assert_not(gc_uuid_valid("", 0));
    cr_assert_not(gc_uuid_valid("0123ABCD-0123-4567-89ab-0123456789ab", 36));

    for (i = 0; i < GC_UUID_LEN; i++) {
        memcpy(bad, good, sizeof(good));
        bad[i] = 'g';
        cr_assert_not(gc_uuid_valid(bad, GC_UUID_LEN), "%zu", i);
    }
}


static gc_cidr_error_e
cidr(const char *text)
{
    gc_cidr_t range;

    return gc_cidr_parse(text, strlen(text), &range);
}


Test(checks, cidr_private_ranges)
{
    gc_cidr_t range;

    cr_assert_eq(gc_cidr_parse("10.1.2.0/24", 11, &range), GC_CIDR_OK);
    cr_assert_eq(range.address, 0x0a010200);
    cr_assert_eq(range.prefix, 24);

    cr_assert_eq(cidr("10.0.0.0/8"), GC_CIDR_OK);
    cr_assert_eq(cidr("172.16.0.0/12"), GC_CIDR_OK);
    cr_assert_eq(cidr("172.31.255.248/29"), GC_CIDR_OK);
    cr_assert_eq(cidr("192.168.255.0/24"), GC_CIDR_OK);
    cr_assert_eq(cidr("100.64.0.0/10"), GC_CIDR_OK);
}


Test(checks, cidr_refusals)
{
    cr_assert_eq(cidr("10.1.2.3/24"), GC_CIDR_HOST_BITS);
    cr_assert_eq(cidr("8.8.8.0/24"), GC_CIDR_PUBLIC);
    cr_assert_eq(cidr("172.0.0.0/8"), GC_CIDR_PUBLIC);
    cr_assert_eq(cidr("172.32.0.0/16"), GC_CIDR_PUBLIC);
    cr_assert_eq(cidr("192.0.0.0/8"), GC_CIDR_PUBLIC);
    cr_assert_eq(cidr("100.128.0.0/16"), GC_CIDR_PUBLIC);
    cr_assert_eq(cidr("0.0.0.0/0"), GC_CIDR_PREFIX);
    cr_assert_eq(cidr("10.0.0.0/7"), GC_CIDR_PREFIX);
    cr_assert_eq(cidr("10.0.0.0/30"), GC_CIDR_PREFIX);
    cr_assert_eq(cidr("10.0.0.0/32"), GC_CIDR_PREFIX);
    cr_assert_eq(cidr("10.0.0.0/33"), GC_CIDR_SYNTAX);
    cr_assert_eq(cidr("10.0.0.0"), GC_CIDR_SYNTAX);
    cr_assert_eq(cidr("10.0.0/24"), GC_CIDR_SYNTAX);
    cr_assert_eq(cidr("10.0.0.256/24"), GC_CIDR_SYNTAX);
    cr_assert_eq(cidr("10.0.00.0/24"), GC_CIDR_SYNTAX);
    cr_assert_eq(cidr("10.0.0.0/024"), GC_CIDR_SYNTAX);
    cr_assert_eq(cidr(" 10.0.0.0/24"), GC_CIDR_SYNTAX);
    cr_assert_eq(cidr("10.0.0.0/24 "), GC_CIDR_SYNTAX);
    cr_assert_eq(cidr("fd00::/64"), GC_CIDR_SYNTAX);
    cr_assert_eq(cidr(""), GC_CIDR_SYNTAX);
    cr_assert_eq(cidr("99999999999.0.0.0/24"), GC_CIDR_SYNTAX);
}


static gc_prefix_error_e
prefix(const char *text)
{
    return gc_prefix_check(text, strlen(text));
}


Test(checks, prefix_of_either_family)
{
    cr_assert_eq(prefix("0.0.0.0/0"), GC_PREFIX_OK);
    cr_assert_eq(prefix("192.168.178.0/24"), GC_PREFIX_OK);
    cr_assert_eq(prefix("8.8.8.8/32"), GC_PREFIX_OK);
    cr_assert_eq(prefix("::/0"), GC_PREFIX_OK);
    cr_assert_eq(prefix("2001:db8::/32"), GC_PREFIX_OK);
    cr_assert_eq(prefix("2001:db8::1/128"), GC_PREFIX_OK);
    cr_assert_eq(prefix("fd00:1:2:3::/64"), GC_PREFIX_OK);
    cr_assert_eq(prefix("0000:0000:0000:0000:0000:ffff:255.255.255.255/128"),
                 GC_PREFIX_OK);

    cr_assert_eq(prefix("192.168.178.1/24"), GC_PREFIX_HOST_BITS);
    cr_assert_eq(prefix("1.0.0.0/0"), GC_PREFIX_HOST_BITS);
    cr_assert_eq(prefix("2001:db8::1/127"), GC_PREFIX_HOST_BITS);
    cr_assert_eq(prefix("8000::/0"), GC_PREFIX_HOST_BITS);

    cr_assert_eq(prefix(""), GC_PREFIX_SYNTAX);
    cr_assert_eq(prefix("/"), GC_PREFIX_SYNTAX);
    cr_assert_eq(prefix("10.0.0.0"), GC_PREFIX_SYNTAX);
    cr_assert_eq(prefix("10.0.0.0/"), GC_PREFIX_SYNTAX);
    cr_assert_eq(prefix("10.0.0.0/33"), GC_PREFIX_SYNTAX);
    cr_assert_eq(prefix("10.0.0.0/08"), GC_PREFIX_SYNTAX);
    cr_assert_eq(prefix("10.0.0.0/-8"), GC_PREFIX_SYNTAX);
    cr_assert_eq(prefix("10.0.0.0/8 "), GC_PREFIX_SYNTAX);
    cr_assert_eq(prefix("10.0.0.0/8/8"), GC_PREFIX_SYNTAX);
    cr_assert_eq(prefix("010.0.0.0/8"), GC_PREFIX_SYNTAX);
    cr_assert_eq(prefix("10.0.0/8"), GC_PREFIX_SYNTAX);
    cr_assert_eq(prefix("::/129"), GC_PREFIX_SYNTAX);
    cr_assert_eq(prefix("fe80::%lo/64"), GC_PREFIX_SYNTAX);
    cr_assert_eq(prefix("[::]/0"), GC_PREFIX_SYNTAX);
    cr_assert_eq(prefix("00000000000000000000000000000000000000000000000000"
                        "::/0"),
                 GC_PREFIX_SYNTAX);
    cr_assert_eq(gc_prefix_check("10.0.0.0\0/8", 11), GC_PREFIX_SYNTAX);
}


static int
selector(const char *text)
{
    return gc_rule_selector_valid(text, strlen(text));
}


Test(checks, selector_of_a_rule)
{
    cr_assert(selector("any"));
    cr_assert(selector("role:member"));
    cr_assert(selector("role:owner"));
    cr_assert(selector("tag:a"));
    cr_assert(selector("tag:game-server-1"));
    cr_assert(selector("peer:0123abcd-0123-4567-89ab-0123456789ab"));
    cr_assert(selector("10.0.0.1"));
    cr_assert(selector("10.0.0.0/8"));
    cr_assert(selector("fd00::1"));
    cr_assert(selector("fd00::/8"));
    cr_assert(selector("tag:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                       "aaaaaaaaaaaaa"));

    cr_assert_not(selector(""));
    cr_assert_not(selector("all"));
    cr_assert_not(selector("any "));
    cr_assert_not(selector("role:"));
    cr_assert_not(selector("role:king"));
    cr_assert_not(selector("role:members"));
    cr_assert_not(selector("tag:"));
    cr_assert_not(selector("tag:-a"));
    cr_assert_not(selector("tag:a-"));
    cr_assert_not(selector("tag:A"));
    cr_assert_not(selector("tag:a_b"));
    cr_assert_not(
        selector("tag:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                 "aaaaaaaaaaaaaa"));
    cr_assert_not(selector("peer:"));
    cr_assert_not(selector("peer:0123abcd-0123-4567-89ab-0123456789a"));
    cr_assert_not(selector("peer:0123ABCD-0123-4567-89ab-0123456789ab"));
    cr_assert_not(selector("10.0.0.1/8"));
    cr_assert_not(selector("10.0.0.1:80"));
    cr_assert_not(selector("host"));
}


Test(checks, cidr_overlap)
{
    gc_cidr_t wide = {0x0a000000, 8}, narrow = {0x0a010200, 24};
    gc_cidr_t other = {0x0a010300, 24};

    cr_assert(gc_cidr_overlap(&wide, &narrow));
    cr_assert(gc_cidr_overlap(&narrow, &wide));
    cr_assert(gc_cidr_overlap(&narrow, &narrow));
    cr_assert_not(gc_cidr_overlap(&narrow, &other));
}


static int
key(const char *text)
{
    return gc_wgkey_valid(text, strlen(text));
}


Test(checks, wireguard_key)
{
    cr_assert(key("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="));
    cr_assert(key("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="));
    /* all zero */
    cr_assert_not(key("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    /* stray bits in the last digit */
    cr_assert_not(key("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmp="));
    /* 31 and 33 bytes, URL alphabet, no padding, hex */
    cr_assert_not(key("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTg=="));
    cr_assert_not(key("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmpq"));
    cr_assert_not(key("hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo="));
    cr_assert_not(key("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo"));
    cr_assert_not(key(""));
}


static int
endpoint(const char *text)
{
    return gc_endpoint_valid(text, strlen(text));
}


Test(checks, endpoint)
{
    cr_assert(endpoint("192.0.2.1:51820"));
    cr_assert(endpoint("10.0.0.1:1"));
    cr_assert(endpoint("[2001:db8::1]:65535"));
    cr_assert(endpoint("[::ffff:192.0.2.1]:51820"));

    cr_assert_not(endpoint("192.0.2.1"));
    cr_assert_not(endpoint("192.0.2.1:"));
    cr_assert_not(endpoint("192.0.2.1:0"));
    cr_assert_not(endpoint("192.0.2.1:65536"));
    cr_assert_not(endpoint("192.0.2.1:051820"));
    cr_assert_not(endpoint("192.0.2.1:5x"));
    cr_assert_not(endpoint("192.0.2:1"));
    cr_assert_not(endpoint("0.0.0.0:1"));
    cr_assert_not(endpoint("224.0.0.1:1"));
    cr_assert_not(endpoint("255.255.255.255:1"));
    cr_assert_not(endpoint("2001:db8::1:51820"));
    cr_assert_not(endpoint("[::]:1"));
    cr_assert_not(endpoint("[ff02::1]:1"));
    cr_assert_not(endpoint("[fe80::1%eth0]:1"));
    cr_assert_not(endpoint("[192.0.2.1]:1"));
    cr_assert_not(endpoint("[]:1"));
    cr_assert_not(endpoint("[:1"));
    cr_assert_not(endpoint("host.example:51820"));
    cr_assert_not(endpoint(":51820"));
    cr_assert_not(endpoint(""));
    cr_assert_not(endpoint("[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:"
                           "0000:0000:0000]:1"));
    cr_assert_not(gc_endpoint_valid("1.2.3.4\0:5", 10));
}


Test(checks, code_is_read_as_people_write_it)
{
    char code[GC_CODE_LEN];

    gc_code_encode(0x3ffffffffffff, code);
    cr_assert_eq(memcmp(code, "ZZZZZZZZZZ", GC_CODE_LEN), 0);
    gc_code_encode(1, code);
    cr_assert_eq(memcmp(code, "0000000001", GC_CODE_LEN), 0);
    /* bits above the 50th are not in it */
    gc_code_encode(UINT64_MAX << 50 | 31, code);
    cr_assert_eq(memcmp(code, "000000000Z", GC_CODE_LEN), 0);

    cr_assert_eq(gc_code_normalise("abcde-fghjk", 11, code), 0);
    cr_assert_eq(memcmp(code, "ABCDEFGHJK", GC_CODE_LEN), 0);
    cr_assert_eq(gc_code_normalise("oOiIlL0011", 10, code), 0);
    cr_assert_eq(memcmp(code, "0011110011", GC_CODE_LEN), 0);

    cr_assert_eq(gc_code_normalise("ABCDEFGHJ", 9, code), -1);
    cr_assert_eq(gc_code_normalise("ABCDEFGHJKM", 11, code), -1);
    cr_assert_eq(gc_code_normalise("ABCDEFGHJU", 10, code), -1);
    cr_assert_eq(gc_code_normalise("ABCDE FGHJK", 11, code), -1);
    cr_assert_eq(gc_code_normalise("ABCDEFGHJ\0", 10, code), -1);
    cr_assert_eq(gc_code_normalise("", 0, code), -1);
}


Test(checks, user_codes)
{
    char code[GC_USER_CODE_LEN];

    gc_user_code_encode(UINT64_MAX << 40 | 31, code);
    cr_assert_arr_eq(code, "0000000Z", sizeof(code));
    gc_user_code_encode(UINT64_MAX, code);
    cr_assert_arr_eq(code, "ZZZZZZZZ", sizeof(code));

    cr_assert_eq(gc_user_code_normalise("abcd-efgh", 9, code), 0);
    cr_assert_arr_eq(code, "ABCDEFGH", sizeof(code));
    cr_assert_eq(gc_user_code_normalise("oil0-1-z-9-a", 12, code), 0);
    cr_assert_arr_eq(code, "01101Z9A", sizeof(code));
    cr_assert_eq(gc_user_code_normalise("ABCDEFG", 7, code), -1);
    cr_assert_eq(gc_user_code_normalise("ABCDEFGHJ", 9, code), -1);
    cr_assert_eq(gc_user_code_normalise("ABCD EFGH", 9, code), -1);
    cr_assert_eq(gc_user_code_normalise("ABCDEFGU", 8, code), -1);
    cr_assert_eq(gc_user_code_normalise("--------", 8, code), -1);
}


static size_t
depth(const char *text)
{
    return gc_json_depth(text, strlen(text));
}


Test(checks, json_depth)
{
    cr_assert_eq(depth(""), 0);
    cr_assert_eq(depth("1"), 0);
    cr_assert_eq(depth("{}"), 1);
    cr_assert_eq(depth("[[],{\"a\":[1]}]"), 3);
    cr_assert_eq(depth("{\"a\":\"[[[[\",\"b\":\"\\\"[[[[\"}"), 1);
    cr_assert_eq(depth("[[[["), 4);
    cr_assert_eq(depth("]]]][[]]"), 2);
    cr_assert_eq(depth("\"[["), 0);
    cr_assert_eq(depth("\"\\"), 0);
}


Test(checks, status_phrase)
{
    cr_assert_str_eq(gc_status_phrase(404), "Not Found");
    cr_assert_str_eq(gc_status_phrase(422), "Unprocessable Content");
    cr_assert_str_eq(gc_status_phrase(599), "Error");
}
