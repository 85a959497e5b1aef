#ifndef GC_BASE_CONFIG_H
#define GC_BASE_CONFIG_H

#include "base/err.h"
#include "base/log.h"

#include <limits.h>

#define CONFIG_FILE "/etc/goconnect/goconnectd.conf"
#define CONFIG_STATE "/var/lib/goconnect"
#define CONFIG_SOCKET "/run/goconnect/goconnectd.sock"
#define CONFIG_BACKEND_SIZE 16
#define CONFIG_NAMES_SIZE 16
#define CONFIG_ROTATE_DAYS 30
#define CONFIG_ROTATE_DAYS_MAX 3650

/*
 * goconnectd's configuration: constant but for config_take(). Texts are zeroed
 * behind their end.
 */
typedef struct {
    char file[PATH_MAX];
    char state[PATH_MAX];
    char socket[PATH_MAX];
    char backend[CONFIG_BACKEND_SIZE]; /* auto, kernel, userspace */
    char names[CONFIG_NAMES_SIZE];     /* auto, resolved, nss, hosts, off */
    char ca[PATH_MAX];                 /* empty: the system's */
    log_level_t log_level;
    int insecure;
    int local_api;
    unsigned rotate_days; /* 0: keys stay */
    int port_mapping;     /* the router is asked for ports */
} config_t;

#define CONFIG_NAMES_LIST 160

/* Names of settings, "names, backend", or "". */
typedef struct {
    char taken[CONFIG_NAMES_LIST];
    char later[CONFIG_NAMES_LIST]; /* differ, but need a restart */
} config_change_t;


void config_init(config_t *config);

/*
 * One setting by its name in the file (which is also its option's, without
 * the dashes).
 */
int config_set(config_t *config, const char *name, const char *value,
               err_t *err);

/*
 * Reads lines "name = value"; # begins a comment. A file that is not there is
 * an error only if required.
 */
int config_read(config_t *config, const char *path, int required, err_t *err);

/*
 * Takes of next what may change while goconnectd runs, and says which settings
 * differed.
 */
void config_take(config_t *config, const config_t *next,
                 config_change_t *change);

#endif
