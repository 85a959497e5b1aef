#ifndef GC_DAEMON_DOCTOR_PARTS_H
#define GC_DAEMON_DOCTOR_PARTS_H

#include "daemon/daemon.h"
#include "os/host_state.h"

/* What the doctor's files share. */
struct doctor {
    daemon_t *daemon;
    control_call_t *call;
    http_t *http;
    const http_answer_t *answer; /* of the server; NULL: not asked */
    struct host_state host;
    json_t *checks;
};

typedef struct doctor doctor_t;


/* fix is NULL where there is nothing to do. */
void doctor_say(doctor_t *doctor, const char *name, const char *level,
                const char *fix, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* doctor_host.c: what this machine does beside us */
void doctor_firewall(doctor_t *doctor, const char *name);
void doctor_lan(doctor_t *doctor, const char *name);

#endif
