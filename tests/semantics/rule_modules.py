"""Imports every module of rules, so that all of them are registered."""

import rules_concerns
import rules_crud
import rules_replication
import rules_retries
import rules_sessions
import rules_streams

RULE_MODULES = (rules_replication, rules_concerns, rules_sessions, rules_retries, rules_crud, rules_streams)
