#include "plan_fixture.h"

#include "plan/reflector.h"


/* A packet of UDP from 192.0.2.1:4000 to 255.255.255.255:4445, "hello". */
static const uint8_t hello[] = {
    0x45, 0,    0, 33, 0, 0,   0x40, 0,   64,  17,   0,
    0,    192,  0, 2,  1, 255, 255,  255, 255, 0x0f, 0xa0,
    0x11, 0x5d, 0, 13, 0, 0,   'h',  'e', 'l', 'l',  'o',
};


static struct address
address(const char *text)
{
    struct address address;

    cr_assert(address_parse(text, &address));

    return address;
}


Test(reflector, a_packet_is_read)
{
    struct reflector_packet packet;

    cr_assert(reflector_read(hello, sizeof(hello), &packet));
    cr_expect_eq(packet.source_port, 4000);
    cr_expect_eq(packet.port, 4445);
    cr_expect_eq(packet.length, 5);
    cr_expect_eq(memcmp(packet.payload, "hello", 5), 0);
}


Test(reflector, what_is_cut_or_odd_is_not)
{
    static const struct {
        size_t at;
        uint8_t value;
    } odd[] = {
        {0, 0x65}, {0, 0x44}, {0, 0x4f}, {3, 34}, {3, 27},  {6, 0x20},
        {7, 1},    {9, 6},    {25, 14},  {25, 7}, {24, 16},
    };
    struct reflector_packet packet;
    uint8_t bytes[sizeof(hello)];
    size_t i;

    for (i = 0; i < sizeof(hello); i++) {
        cr_expect_not(reflector_read(hello, i, &packet), "%zu bytes", i);
    }

    for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        memcpy(bytes, hello, sizeof(hello));
        bytes[odd[i].at] = odd[i].value;
        cr_expect_not(reflector_read(bytes, sizeof(bytes), &packet), "byte %zu",
                      odd[i].at);
    }
}


Test(reflector, what_is_a_broadcast)
{
    static const struct {
        const char *address;
        const char *range;
        bool is;
    } cases[] = {
        {"255.255.255.255", "10.0.0.0/24", true},
        {"239.1.2.3", "10.0.0.0/24", true},
        {"224.0.0.251", "10.0.0.0/24", true},
        {"10.0.0.255", "10.0.0.0/24", true},
        {"10.0.0.254", "10.0.0.0/24", false},
        {"10.0.1.255", "10.0.0.0/24", false},
        {"10.0.3.255", "10.0.0.0/22", true},
        {"10.0.1.255", "10.0.0.0/22", false},
        {"10.0.0.7", "10.0.0.0/29", true},
        {"10.0.0.1", "10.0.0.0/31", false},
        {"192.168.0.255", "10.0.0.0/24", false},
        {"ff02::1", "10.0.0.0/24", false},
    };
    struct address to;
    struct prefix range;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        to = address(cases[i].address);
        range = fixture_prefix(cases[i].range);
        cr_expect_eq(reflector_is_broadcast(&to, &range), cases[i].is, "%s",
                     cases[i].address);
    }
}


/* RFC 1071: right is what sums to all ones. */
static unsigned
sum(unsigned all, const uint8_t *bytes, size_t length)
{
    size_t i;

    for (i = 0; i < length; i++) {
        all += i % 2 == 0 ? bytes[i] * 256U : bytes[i];
    }

    while (all >> 16 != 0) {
        all = (all & 0xffff) + (all >> 16);
    }

    return all;
}


Test(reflector, a_copy_is_a_whole_packet_of_its_own)
{
    struct address from = address("10.64.0.1"), to = address("10.64.0.2");
    struct reflector_packet packet, copy;
    uint8_t room[REFLECTOR_PACKET_MAX];
    size_t length;

    cr_assert(reflector_read(hello, sizeof(hello), &packet));
    length = reflector_copy(&packet, &from, &to, room);
    cr_assert_eq(length, sizeof(hello));
    cr_assert(reflector_read(room, length, &copy));
    cr_expect_eq(copy.source_port, 4000);
    cr_expect_eq(copy.port, 4445);
    cr_expect_eq(address_compare(&copy.destination, &to), 0);
    cr_expect_eq(memcmp(room + 12, from.bytes, 4), 0);
    cr_expect_eq(memcmp(copy.payload, "hello", 5), 0);
    cr_expect_eq(sum(0, room, 20), 0xffff);
    cr_expect_eq(sum(17 + 13, room + 12, length - 12), 0xffff);

    packet.length = REFLECTOR_PACKET_MAX - 27;
    cr_expect_eq(reflector_copy(&packet, &from, &to, room), 0);
}


Test(reflector, so_many_and_no_more)
{
    struct reflector_rate rate;
    size_t i;

    memset(&rate, 0, sizeof(rate));

    for (i = 0; i < REFLECTOR_BURST; i++) {
        cr_assert(reflector_allowed(&rate, 1000));
    }

    cr_expect_not(reflector_allowed(&rate, 1000));
    cr_expect_not(reflector_allowed(&rate, 1001));
    cr_expect(reflector_allowed(&rate, 1002));
    cr_expect_not(reflector_allowed(&rate, 1002));

    for (i = 0; i < REFLECTOR_BURST; i++) {
        cr_assert(reflector_allowed(&rate, 1000000));
    }

    cr_expect_not(reflector_allowed(&rate, 1000000));
}


Test(reflector, only_listed_ports_and_not_where_a_lan_is_carried)
{
    struct netmap *map;

    map = fixture_map(0, 1, 1);
    map->settings.reflector_ports[map->settings.reflector_port_count++] = 7;
    cr_expect(reflector_listed(map, 7));
    cr_expect_not(reflector_listed(map, 8));
    map->lan = true;
    cr_expect_not(reflector_listed(map, 7));
    netmap_destroy(map);
}
