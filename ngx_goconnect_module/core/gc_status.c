#include "core/gc_status.h"

#include <stddef.h>


typedef struct {
    unsigned status;
    const char *phrase;
} gc_status_t;


static const gc_status_t gc_statuses[] = {
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {409, "Conflict"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {500, "Internal Server Error"},
    {503, "Service Unavailable"},
};


const char *
gc_status_phrase(unsigned status)
{
    size_t i;

    for (i = 0; i < sizeof(gc_statuses) / sizeof(gc_statuses[0]); i++) {
        if (gc_statuses[i].status == status) {
            return gc_statuses[i].phrase;
        }
    }

    return "Error";
}
