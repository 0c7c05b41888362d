/* The schema of the host's own settings: every setting there is, its range and its default. */
#include "core/config_settings.h"

#define JSON(...) #__VA_ARGS__

/* clang-format off */
const char config_settings[] = JSON({
    "type": "object", "additionalProperties": false,
    "properties": {
        "host": { "type": "object", "additionalProperties": false, "properties": {
            "log_level": { "enum": ["DEBUG", "INFO", "WARNING", "ERROR"], "default": "INFO" } } },
        "http": { "type": "object", "additionalProperties": false, "properties": {
            "host": { "type": "string", "minLength": 1, "maxLength": 255, "default": "127.0.0.1" },
            "port": { "type": "integer", "minimum": 0, "maximum": 65535, "default": 8000 },
            "public": { "type": "boolean", "default": false },
            "connections": { "type": "integer", "minimum": 1, "maximum": 65536, "default": 1024 },
            "per_address": { "type": "integer", "minimum": 1, "maximum": 65536, "default": 64 },
            "body_max_bytes": { "type": "integer", "minimum": 1024, "maximum": 67108864, "default": 1048576 },
            "api_title": { "type": "string", "minLength": 1, "maxLength": 127, "default": "cvmhost" },
            "api_version": { "type": "string", "minLength": 1, "maxLength": 31 },
            "timeout_s": { "type": "integer", "minimum": 1, "maximum": 3600, "default": 10 },
            "answer_timeout_s": { "type": "integer", "minimum": 1, "maximum": 3600, "default": 60 } } },
        "access": { "type": "object", "additionalProperties": false, "properties": {
            "tokens": { "type": "array", "minItems": 1, "maxItems": 256, "items": {
                "type": "object", "additionalProperties": false, "required": ["name", "permissions"], "properties": {
                    "name": { "type": "string", "maxLength": 63, "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$",
                              "title": "a name of letters, digits, '.', '_' and '-'" },
                    "secret": { "type": "string", "minLength": 1, "maxLength": 127 },
                    "sha256": { "type": "string", "pattern": "^[0-9A-Fa-f]{64}$", "title": "64 hexadecimal digits" },
                    "permissions": { "type": "array", "maxItems": 256, "items": {
                        "type": "string", "maxLength": 63, "pattern": "^([*]|[a-z][a-z0-9_.]*)$",
                        "title": "the name of a permission, or *" } } } } } } },
        "journal": { "type": "object", "additionalProperties": false, "properties": {
            "group_max": { "type": "integer", "minimum": 1, "maximum": 65536, "default": 1024 },
            "wal_checkpoint_mib": { "type": "integer", "minimum": 1, "maximum": 1024, "default": 16 },
            "wal_max_mib": { "type": "integer", "minimum": 8, "maximum": 65536, "default": 512 },
            "keep_days": { "type": "integer", "minimum": 0, "maximum": 36500, "default": 90 },
            "inbox_keep_hours": { "type": "integer", "minimum": 1, "maximum": 8760, "default": 24 } } },
        "admission": { "type": "object", "additionalProperties": false, "properties": {
            "conversations": { "type": "integer", "minimum": 1, "maximum": 10000000, "default": 100000 },
            "bytes_mib": { "type": "integer", "minimum": 1, "maximum": 65536, "default": 256 } } },
        "plugins": { "type": "object", "additionalProperties": false, "properties": {
            "inline": { "type": "array", "maxItems": 1024, "default": [],
                        "items": { "type": "string", "minLength": 1, "maxLength": 127 } },
            "process": { "type": "array", "maxItems": 1024, "default": [],
                         "items": { "type": "string", "minLength": 1, "maxLength": 127 } },
            "disabled": { "type": "array", "maxItems": 1024, "default": [],
                          "items": { "type": "string", "minLength": 1, "maxLength": 127 } },
            "strikes": { "type": "integer", "minimum": 1, "maximum": 1000, "default": 5 },
            "strike_window_s": { "type": "integer", "minimum": 1, "maximum": 86400, "default": 60 },
            "probation_turns": { "type": "integer", "minimum": 1, "maximum": 1000000, "default": 200 },
            "probation_s": { "type": "integer", "minimum": 1, "maximum": 604800, "default": 60 } } },
        "models": { "type": "object", "additionalProperties": false, "properties": {
            "enabled": { "type": "boolean", "default": true },
            "max_mib": { "type": "integer", "minimum": 1, "maximum": 256, "default": 16 } } },
        "jobs": { "type": "object", "additionalProperties": false, "properties": {
            "parallel": { "type": "integer", "minimum": 1, "maximum": 16, "default": 1 },
            "waiting": { "type": "integer", "minimum": 1, "maximum": 4096, "default": 64 } } },
        "conversation": { "type": "object", "additionalProperties": false, "properties": {
            "max_rounds": { "type": "integer", "minimum": 1, "maximum": 1000, "default": 30 } } },
        "roles": { "type": "object", "default": {}, "additionalProperties": {
            "type": "array", "maxItems": 256, "items": { "type": "string", "minLength": 1, "maxLength": 127 } } },
        "agents": { "type": "object", "default": {}, "additionalProperties": {
            "type": "object", "additionalProperties": false, "properties": {
                "concurrency": { "type": "integer", "minimum": 1, "maximum": 1000000 },
                "settings": { "type": "object" } } } },
        "secrets": { "type": "object", "additionalProperties": false, "properties": {
            "file": { "type": "string", "minLength": 1, "maxLength": 4095 } } },
        "supervisor": { "type": "object", "additionalProperties": false, "properties": {
            "restart_delay_ms": { "type": "integer", "minimum": 0, "maximum": 600000, "default": 5000 },
            "restarts": { "type": "integer", "minimum": 0, "maximum": 100000, "default": 10 },
            "window_s": { "type": "integer", "minimum": 1, "maximum": 86400, "default": 60 },
            "ready_s": { "type": "integer", "minimum": 1, "maximum": 3600, "default": 30 } } }
    }
});
/* clang-format on */
