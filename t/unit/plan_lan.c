#include "plan_fixture.h"

#include "plan/lan.h"

#define MTU 1420


static struct netmap *
network(unsigned count)
{
    struct netmap *map;

    map = fixture_map(0, count, 1);
    map->lan = true;

    return map;
}


static struct lan *
wish(const struct netmap *map)
{
    struct desired_self self;
    struct error error;
    struct lan *lan;

    self = fixture_self("gc-games", 51820);
    lan = lan_create(map, &self, MTU, &error);
    cr_assert_not_null(lan, "%s", error.text);

    return lan;
}


/* The facts as they are when all operations so far were applied. */
static struct lan_actual *
nothing(void)
{
    struct lan_actual *actual;

    actual = calloc(1, sizeof(*actual));
    actual->places = calloc(1, sizeof(*actual->places));
    actual->places->interfaces = calloc(4, sizeof(struct actual_interface));
    actual->facts = calloc(4, sizeof(struct lan_fact));
    actual->indices = calloc(4, sizeof(int));

    return actual;
}


static size_t
place(struct lan_actual *actual, const char *name)
{
    size_t i;

    for (i = 0; i < actual->places->interface_count; i++) {
        if (strcmp(actual->places->interfaces[i].name, name) == 0) {
            return i;
        }
    }

    cr_assert_fail("no interface %s", name);

    return 0;
}


static void
remove_place(struct lan_actual *actual, size_t i)
{
    size_t last;

    free(actual->places->interfaces[i].addresses);
    free(actual->places->interfaces[i].routes);
    free(actual->facts[i].entries);
    last = --actual->places->interface_count;
    actual->places->interfaces[i] = actual->places->interfaces[last];
    actual->facts[i] = actual->facts[last];
    memset(&actual->facts[last], 0, sizeof(actual->facts[last]));
    memset(&actual->places->interfaces[last], 0,
           sizeof(actual->places->interfaces[last]));
}


static void
list_add(struct prefix **list, size_t *count, const struct prefix *prefix)
{
    *list = realloc(*list, (*count + 1) * sizeof(**list));
    (*list)[(*count)++] = *prefix;
}


static void
list_remove(struct prefix *list, size_t *count, const struct prefix *prefix)
{
    size_t i;

    for (i = 0; i < *count; i++) {
        if (prefix_compare(&list[i], prefix) == 0) {
            list[i--] = list[--*count];
        }
    }
}


static void
apply_link(struct actual_interface *have, const struct operation *operation)
{
    switch (operation->kind) {

    case OPERATION_ALIAS:
        memcpy(have->network_id, operation->network_id, NETMAP_ID_SIZE);
        break;

    case OPERATION_MTU:
        have->mtu = operation->mtu;
        break;

    case OPERATION_UP:
        have->up = true;
        break;

    case OPERATION_ADDRESS_ADD:
        list_add(&have->addresses, &have->address_count, &operation->prefix);
        break;

    case OPERATION_ADDRESS_DELETE:
        list_remove(have->addresses, &have->address_count, &operation->prefix);
        break;

    case OPERATION_ROUTE_ADD:
        cr_assert(have->up);
        list_add(&have->routes, &have->route_count, &operation->prefix);
        break;

    case OPERATION_ROUTE_DELETE:
        list_remove(have->routes, &have->route_count, &operation->prefix);
        break;

    default:
        cr_assert_fail("not an operation on a LAN's interface");
    }
}


static void
apply_entry(struct lan_fact *fact, const struct lan_operation *operation)
{
    size_t i;

    if (operation->kind == LAN_ENTRY_ADD) {
        fact->entries = realloc(fact->entries, (fact->entry_count + 1) *
                                                   sizeof(struct lan_entry));
        fact->entries[fact->entry_count++] = operation->entry.entry;

    } else {
        for (i = 0; i < fact->entry_count; i++) {
            if (lan_entry_compare(&fact->entries[i], &operation->entry.entry) ==
                0) {
                fact->entries[i] = fact->entries[--fact->entry_count];
                break;
            }
        }
    }

    qsort(fact->entries, fact->entry_count, sizeof(struct lan_entry),
          lan_entry_compare);
}


static void
apply(struct lan_actual *actual, const struct lan_operation *operation)
{
    struct actual_interface *have;
    size_t i;

    switch (operation->kind) {

    case LAN_DELETE:
        remove_place(actual, place(actual, operation->name));
        break;

    case LAN_CREATE:
        i = actual->places->interface_count++;
        cr_assert_lt(i, 4);
        have = &actual->places->interfaces[i];
        memcpy(have->name, operation->name, sizeof(have->name));
        actual->facts[i].identity = operation->identity;
        break;

    case LAN_ENTRY_ADD:
    case LAN_ENTRY_DELETE:
        apply_entry(&actual->facts[place(actual, operation->name)], operation);
        break;

    case LAN_LINK:
        apply_link(&actual->places->interfaces[place(actual, operation->name)],
                   &operation->link);
        break;
    }
}


/* Applies at most so many; returns how many were planned. */
static size_t
step(const struct lan *lan, struct lan_actual *actual, size_t most)
{
    struct lan_operations operations;
    struct error error;
    char text[256];
    size_t i, count;

    cr_assert_eq(
        lan_reconcile(&lan, lan != NULL ? 1 : 0, actual, &operations, &error),
        0);
    count = operations.count;

    for (i = 0; i < count && i < most; i++) {
        cr_expect_gt(
            strlen(lan_describe(&operations.list[i], text, sizeof(text))), 5);
        apply(actual, &operations.list[i]);
    }

    lan_operations_clear(&operations);

    return count;
}


Test(lan, all_is_made_and_then_nothing_is_left_to_do)
{
    struct lan_actual *actual;
    struct netmap *map;
    struct lan *lan;
    struct actual_interface *have;

    map = network(4);
    lan = wish(map);
    actual = nothing();

    cr_expect_str_eq(lan->name, "gv-games");
    cr_expect_eq(lan->mtu, 1350);
    cr_expect_eq(lan->peer_count, 3);
    cr_expect_eq(lan->entry_count, 12);

    cr_expect_gt(step(lan, actual, SIZE_MAX), 12);
    cr_expect_eq(step(lan, actual, SIZE_MAX), 0);

    have = &actual->places->interfaces[0];
    cr_expect(have->up);
    cr_expect_eq(have->mtu, 1350);
    cr_expect_eq(have->address_count, 1);
    cr_expect_eq(have->addresses[0].length, 10);
    cr_expect_eq(have->route_count, 1);

    cr_expect_eq(step(NULL, actual, SIZE_MAX), 1);
    cr_expect_eq(actual->places->interface_count, 0);
    cr_expect_eq(step(NULL, actual, SIZE_MAX), 0);

    lan_actual_destroy(actual);
    free(lan);
    netmap_destroy(map);
}


Test(lan, killed_after_any_operation_it_ends_the_same)
{
    struct lan_actual *actual;
    struct netmap *map;
    struct lan *lan;
    size_t n, count, rounds;

    map = network(5);
    lan = wish(map);
    count = SIZE_MAX;

    for (n = 0; n < count; n++) {
        actual = nothing();
        count = step(lan, actual, n);

        for (rounds = 0; step(lan, actual, SIZE_MAX) > 0; rounds++) {
            cr_assert_lt(rounds, 3);
        }

        cr_expect_eq(actual->places->interface_count, 1);
        cr_expect_eq(actual->facts[0].entry_count, lan->entry_count);
        cr_expect(actual->places->interfaces[0].up);
        lan_actual_destroy(actual);
    }

    cr_expect_gt(count, 16);
    free(lan);
    netmap_destroy(map);
}


Test(lan, a_member_that_comes_or_goes_changes_its_entries_alone)
{
    struct lan_actual *actual;
    struct netmap *small, *big;
    struct lan *few, *many;

    small = network(3);
    big = network(4);
    few = wish(small);
    many = wish(big);
    actual = nothing();

    (void) step(few, actual, SIZE_MAX);
    cr_expect_eq(step(many, actual, SIZE_MAX), 4);
    cr_expect_eq(step(few, actual, SIZE_MAX), 4);
    cr_expect_eq(step(few, actual, SIZE_MAX), 0);

    lan_actual_destroy(actual);
    free(few);
    free(many);
    netmap_destroy(small);
    netmap_destroy(big);
}


Test(lan, one_that_is_not_as_we_make_it_is_made_anew)
{
    struct lan_actual *actual;
    struct netmap *map;
    struct lan *lan;
    size_t made, i;

    map = network(3);
    lan = wish(map);
    actual = nothing();
    made = step(lan, actual, SIZE_MAX);

    for (i = 0; i < 5; i++) {
        switch (i) {
        case 0:
            actual->facts[0].identity.vni++;
            break;
        case 1:
            actual->facts[0].identity.mac[5] ^= 1;
            break;
        case 2:
            actual->facts[0].identity.under[0] = '\0';
            break;
        case 3:
            actual->facts[0].strange = true;
            break;
        default:
            actual->places->interfaces[0].network_id[0] = '\0';
            break;
        }

        cr_expect_eq(step(lan, actual, SIZE_MAX), made + 1, "change %zu", i);
        cr_expect_eq(step(lan, actual, SIZE_MAX), 0);
    }

    lan_actual_destroy(actual);
    free(lan);
    netmap_destroy(map);
}


Test(lan, the_filter_stands_before_it_is_up)
{
    struct lan_operations operations;
    struct lan_actual *actual;
    const struct lan *list[1];
    struct netmap *map;
    struct error error;
    struct lan *lan;
    size_t i;

    map = network(3);
    lan = wish(map);
    list[0] = lan;
    actual = nothing();
    cr_assert_eq(lan_reconcile(list, 1, actual, &operations, &error), 0);

    for (i = 0; i < operations.count; i++) {
        if (operations.list[i].kind == LAN_LINK &&
            operations.list[i].link.kind == OPERATION_UP) {
            cr_expect_eq(i, operations.guarded);
        }
    }

    cr_expect_lt(operations.guarded, operations.count);
    lan_operations_clear(&operations);
    lan_actual_destroy(actual);
    free(lan);
    netmap_destroy(map);
}


Test(lan, more_than_64_members_are_refused)
{
    struct desired_self self;
    struct netmap *map;
    struct error error;

    self = fixture_self("gc-games", 51820);
    map = network(LAN_MEMBERS_MAX);
    free(wish(map));
    netmap_destroy(map);

    map = network(LAN_MEMBERS_MAX + 1);
    cr_expect_null(lan_create(map, &self, MTU, &error));
    cr_expect_eq(error.code, ERROR_TOO_BIG);
    cr_expect_not_null(strstr(error.text, "holds 64 members"));
    netmap_destroy(map);
}


Test(lan, hardware_addresses_are_local_and_differ)
{
    uint8_t macs[1000][LAN_MAC_SIZE];
    char id[NETMAP_ID_SIZE];
    unsigned i, k;

    for (i = 0; i < 1000; i++) {
        fixture_id(i, id);
        lan_mac(id, macs[i]);
        cr_expect_eq(macs[i][0] & 3, 2, "for one, and ours to give");

        for (k = 0; k < i; k++) {
            cr_assert_neq(memcmp(macs[i], macs[k], LAN_MAC_SIZE), 0);
        }
    }

    cr_expect_gt(lan_vni(FIXTURE_NETWORK), 0);
    cr_expect_lt(lan_vni(FIXTURE_NETWORK), 1 << 24);
}


Test(lan, the_filter_names_every_member_once)
{
    const struct lan *list[1];
    struct netmap *map;
    struct lan *lan;
    char *text, *at, number[32];
    size_t count;

    map = network(LAN_MEMBERS_MAX);
    lan = wish(map);
    list[0] = lan;
    text = lan_filter(list, 1);
    cr_assert_not_null(text);
    count = 0;

    for (at = text; (at = strstr(at, "add element")) != NULL; at++) {
        count++;
    }

    cr_expect_eq(count, 2 * lan->peer_count);
    (void) snprintf(number, sizeof(number), " %u jump", lan->identity.vni);
    cr_expect_not_null(strstr(text, number));

    /* the last word: nothing was cut */
    cr_expect_not_null(strstr(text, "input udp dport 51822 drop\n"));
    free(text);

    text = lan_filter(NULL, 0);
    cr_expect_null(strstr(text, "chain"));
    free(text);
    free(lan);
    netmap_destroy(map);
}


Test(lan, ipv4_goes_by_the_lan_and_not_by_wireguard)
{
    struct desired *desired;
    struct desired_self self;
    struct netmap *map;
    struct error error;
    size_t i;

    self = fixture_self("gc-games", 51820);
    map = network(4);
    desired = desired_create(map, &self, NULL, &error);
    cr_assert_not_null(desired);
    cr_expect_eq(desired->address_count, 1);
    cr_expect_eq(desired->addresses[0].address.family, ADDRESS_IPV6);
    cr_expect_eq(desired->route_count, 1);

    for (i = 0; i < desired->peer_count; i++) {
        cr_expect_eq(desired->peers[i].allowed_count, 1);
        cr_expect_eq(desired->peers[i].allowed[0].address.family, ADDRESS_IPV6);
    }

    desired_destroy(desired);
    self.ip6_address.family = ADDRESS_NONE;
    cr_expect_null(desired_create(map, &self, NULL, &error));
    cr_expect_not_null(strstr(error.text, "disable_ipv6"));
    netmap_destroy(map);
}
