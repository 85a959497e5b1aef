#include "base/config.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_LINE (PATH_MAX + 64)

typedef struct config_setting config_setting_t;

struct config_setting {
    const char *name;
    int (*set)(config_t *config, const config_setting_t *setting,
               const char *value, err_t *err);
    size_t offset;
    size_t size;
    int live; /* takes effect without a restart */
};

static int config_path(config_t *config, const config_setting_t *setting,
                       const char *value, err_t *err);
static int config_backend(config_t *config, const config_setting_t *setting,
                          const char *value, err_t *err);
static int config_names(config_t *config, const config_setting_t *setting,
                        const char *value, err_t *err);
static int config_log_level(config_t *config, const config_setting_t *setting,
                            const char *value, err_t *err);
static int config_yes(config_t *config, const config_setting_t *setting,
                      const char *value, err_t *err);
static int config_local_api(config_t *config, const config_setting_t *setting,
                            const char *value, err_t *err);
static int config_days(config_t *config, const config_setting_t *setting,
                       const char *value, err_t *err);

#define CONFIG_AT(member) \
    offsetof(config_t, member), sizeof(((config_t *) NULL)->member)

static const config_setting_t config_settings[] = {
    {"state", config_path, CONFIG_AT(state), 0},
    {"socket", config_path, CONFIG_AT(socket), 0},
    {"ca", config_path, CONFIG_AT(ca), 0},
    {"backend", config_backend, CONFIG_AT(backend), 0},
    {"names", config_names, CONFIG_AT(names), 0},
    {"rotate-days", config_days, CONFIG_AT(rotate_days), 1},
    {"port-mapping", config_yes, CONFIG_AT(port_mapping), 1},
    {"log-level", config_log_level, CONFIG_AT(log_level), 1},
    {"insecure", config_yes, CONFIG_AT(insecure), 1},
    {"local-api", config_local_api, CONFIG_AT(local_api), 1},
};


void
config_init(config_t *config)
{
    memset(config, 0, sizeof(*config));

    strcpy(config->file, CONFIG_FILE);
    strcpy(config->state, CONFIG_STATE);
    strcpy(config->socket, CONFIG_SOCKET);
    strcpy(config->backend, "auto");
    strcpy(config->names, "auto");
    config->log_level = LOG_LEVEL_INFO;
    config->rotate_days = CONFIG_ROTATE_DAYS;
    config->port_mapping = 1;
}


/* The rest is zeroed: settings are compared whole. */
static void
config_text(config_t *config, const config_setting_t *setting,
            const char *value)
{
    char *place = (char *) config + setting->offset;

    memset(place, 0, setting->size);
    memcpy(place, value, strlen(value));
}


static int
config_path(config_t *config, const config_setting_t *setting,
            const char *value, err_t *err)
{
    if (value[0] != '/' || strlen(value) >= PATH_MAX) {
        return err_set(err, "bad_setting",
                       "%s wants an absolute path, not \"%.100s\"",
                       setting->name, value);
    }

    config_text(config, setting, value);
    return 0;
}


static int
config_backend(config_t *config, const config_setting_t *setting,
               const char *value, err_t *err)
{
    if (strcmp(value, "auto") != 0 && strcmp(value, "kernel") != 0 &&
        strcmp(value, "userspace") != 0) {
        return err_set(err, "bad_setting",
                       "%s is auto, kernel or userspace, not \"%.100s\"",
                       setting->name, value);
    }

    config_text(config, setting, value);
    return 0;
}


static int
config_names(config_t *config, const config_setting_t *setting,
             const char *value, err_t *err)
{
    static const char *const modes[] = {"auto", "resolved", "nss", "hosts",
                                        "off"};
    size_t i;

    for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(value, modes[i]) == 0) {
            config_text(config, setting, value);
            return 0;
        }
    }

    return err_set(err, "bad_setting",
                   "%s is auto, resolved, nss, hosts or off, not \"%.100s\"",
                   setting->name, value);
}


static int
config_log_level(config_t *config, const config_setting_t *setting,
                 const char *value, err_t *err)
{
    if (log_level_parse(value, &config->log_level) == -1) {
        return err_set(err, "bad_setting",
                       "%s is error, warn, info or debug, not \"%.100s\"",
                       setting->name, value);
    }

    return 0;
}


static int
config_yes(config_t *config, const config_setting_t *setting, const char *value,
           err_t *err)
{
    if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0) {
        return err_set(err, "bad_setting", "%s is yes or no, not \"%.100s\"",
                       setting->name, value);
    }

    *(int *) ((char *) config + setting->offset) = strcmp(value, "yes") == 0;
    return 0;
}


static int
config_local_api(config_t *config, const config_setting_t *setting,
                 const char *value, err_t *err)
{
    if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0) {
        return err_set(err, "bad_setting", "%s is on or off, not \"%.100s\"",
                       setting->name, value);
    }

    config->local_api = strcmp(value, "on") == 0;
    return 0;
}


static int
config_days(config_t *config, const config_setting_t *setting,
            const char *value, err_t *err)
{
    char *end;
    unsigned long days = strtoul(value, &end, 10);

    if (!isdigit((unsigned char) *value) || *end != '\0' ||
        days > CONFIG_ROTATE_DAYS_MAX) {
        return err_set(err, "bad_setting",
                       "%s is 0 to %d (0: never), not \"%.100s\"",
                       setting->name, CONFIG_ROTATE_DAYS_MAX, value);
    }

    config->rotate_days = (unsigned) days;
    return 0;
}


int
config_set(config_t *config, const char *name, const char *value, err_t *err)
{
    size_t i;

    for (i = 0; i < sizeof(config_settings) / sizeof(config_settings[0]); i++) {
        if (strcmp(name, config_settings[i].name) == 0) {
            return config_settings[i].set(config, &config_settings[i], value,
                                          err);
        }
    }

    return err_set(err, "bad_setting",
                   "there is no setting \"%.100s\"; there are state, socket, "
                   "ca, backend, names, rotate-days, port-mapping, log-level, "
                   "insecure and local-api",
                   name);
}


static char *
config_trim(char *text)
{
    char *end;

    while (isspace((unsigned char) *text)) {
        text++;
    }

    end = text + strlen(text);
    while (end > text && isspace((unsigned char) end[-1])) {
        end--;
    }

    *end = '\0';
    return text;
}


static int
config_line(config_t *config, char *line, err_t *err)
{
    char *name, *value;

    line[strcspn(line, "#")] = '\0';
    name = config_trim(line);

    if (*name == '\0') {
        return 0;
    }

    value = strchr(name, '=');
    if (value == NULL) {
        return err_set(err, "bad_setting", "a line is \"name = value\"");
    }

    *value++ = '\0';
    return config_set(config, config_trim(name), config_trim(value), err);
}


int
config_read(config_t *config, const char *path, int required, err_t *err)
{
    char line[CONFIG_LINE];
    unsigned number = 0;
    err_t why;
    FILE *file;

    file = fopen(path, "re");
    if (file == NULL) {
        if (errno == ENOENT && !required) {
            return 0;
        }

        return err_errno(err, "bad_config", "cannot read %s", path);
    }

    while (fgets(line, sizeof(line), file) != NULL) {
        number++;

        if (config_line(config, line, &why) == -1) {
            fclose(file);
            return err_set(err, "bad_config", "%.100s, line %u: %.180s", path,
                           number, why.text);
        }
    }

    fclose(file);
    return 0;
}


static void
config_list(char list[CONFIG_NAMES_LIST], const char *name)
{
    size_t len = strlen(list);

    snprintf(list + len, CONFIG_NAMES_LIST - len, "%s%s", len > 0 ? ", " : "",
             name);
}


void
config_take(config_t *config, const config_t *next, config_change_t *change)
{
    const config_setting_t *setting;
    size_t i;

    memset(change, 0, sizeof(*change));

    for (i = 0; i < sizeof(config_settings) / sizeof(config_settings[0]); i++) {
        setting = &config_settings[i];

        if (memcmp((char *) config + setting->offset,
                   (const char *) next + setting->offset, setting->size) == 0) {
            continue;
        }

        if (!setting->live) {
            config_list(change->later, setting->name);
            continue;
        }

        memcpy((char *) config + setting->offset,
               (const char *) next + setting->offset, setting->size);
        config_list(change->taken, setting->name);
    }
}
