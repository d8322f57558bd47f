#!/bin/sh
# /usr/local/bin/farebox: the command as the services run it, with their user, settings and data folder. For root.
if [ "$(id -u)" != 0 ]; then
    echo "farebox: run this as root (sudo farebox ...): it reads /etc/farebox/farebox.env and runs as the user farebox" >&2
    exit 1
fi
set -ae
. /etc/farebox/farebox.env
HOME=/var/lib/farebox
exec setpriv --reuid farebox --regid farebox --init-groups /opt/farebox/bin/farebox "$@"
