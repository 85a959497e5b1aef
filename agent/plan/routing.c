#include "plan/routing.h"

#include <stdio.h>
#include <string.h>


/* Alive before not, known before unknown, near before far, then by id. */
static bool
routing_before(const struct routing_offer *a, const struct routing_offer *b)
{
    if (a->alive != b->alive) {
        return a->alive;
    }

    if (a->alive && a->rtt_us != b->rtt_us) {
        return b->rtt_us == 0 || (a->rtt_us != 0 && a->rtt_us < b->rtt_us);
    }

    return strcmp(a->peer_id, b->peer_id) < 0;
}


static bool
routing_much_better(const struct routing_offer *rival,
                    const struct routing_offer *current)
{
    uint32_t gain;

    if (rival->rtt_us == 0 || current->rtt_us <= rival->rtt_us) {
        return false;
    }

    gain = current->rtt_us - rival->rtt_us;
    return gain >= ROUTING_GAIN_US && gain >= current->rtt_us / 5;
}


static bool
routing_take(struct routing_choice *choice, const char *peer_id)
{
    bool changed = strcmp(choice->peer_id, peer_id) != 0;

    snprintf(choice->peer_id, sizeof(choice->peer_id), "%s", peer_id);
    choice->rival[0] = '\0';
    choice->rival_since_ms = 0;
    return changed;
}


bool
routing_choose(struct routing_choice *choice,
               const struct routing_offer *offers, size_t count,
               uint64_t now_ms)
{
    const struct routing_offer *best = NULL, *current = NULL;
    size_t i;

    for (i = 0; i < count; i++) {
        if (best == NULL || routing_before(&offers[i], best)) {
            best = &offers[i];
        }

        if (strcmp(offers[i].peer_id, choice->peer_id) == 0) {
            current = &offers[i];
        }
    }

    if (best == NULL) {
        return routing_take(choice, "");
    }

    if (current == NULL || (best->alive && !current->alive)) {
        return routing_take(choice, best->peer_id);
    }

    if (!current->alive || !routing_much_better(best, current)) {
        return routing_take(choice, current->peer_id);
    }

    if (strcmp(choice->rival, best->peer_id) != 0) {
        snprintf(choice->rival, sizeof(choice->rival), "%s", best->peer_id);
        choice->rival_since_ms = now_ms;
    }

    if (now_ms - choice->rival_since_ms < ROUTING_HOLD_MS) {
        return false;
    }

    return routing_take(choice, best->peer_id);
}
