#!/bin/bash
# Installs what the tests on real systems need, by apt and (Mailman, Tryton) by pip, and starts none of it.
#
#   install.sh servers       MariaDB, PostgreSQL, Redis, PHP, Dovecot, Chromium, lnav, what checks the files of deploy/ (promtool, logrotate,
#                            systemd-analyze), the code of WordPress under .servers/, Mailman and Tryton in environments of their own there
#   install.sh bench-tools   what the benchmark compares itself with
#
# Does nothing, and asks apt nothing, when everything is there. As root, or by sudo where that asks for no password;
# otherwise it prints the command that somebody with those rights can run, and exits with 2.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

# Servers live in folders that a user's PATH often leaves out.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
wordpress=.servers/wordpress
mailman=.servers/mailman
tryton=.servers/tryton
missing=()

has() { command -v "$1" >/dev/null 2>&1; }
needs() { # PACKAGE COMMAND...: the package is missing unless the command succeeds.
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
has_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' || { has initdb && has postgres; }; }
has_browser() { has chromium || has chromium-browser || has google-chrome; }
php_speaks_mysql() { has php && php -r 'exit(extension_loaded("mysqli") ? 0 : 1);'; }

case ${1:-} in
servers)
    needs mariadb-server has mariadbd
    needs postgresql has_postgres
    needs php-cli has php
    needs php-mysql php_speaks_mysql
    needs util-linux has setpriv
    needs chromium has_browser
    needs lnav has lnav
    needs redis-server has redis-server
    needs logrotate has logrotate
    needs prometheus has promtool
    needs strace has strace
    needs systemd has systemd-analyze
    needs dovecot-imapd has dovecot
    ;;
bench-tools)
    needs percona-toolkit has pt-archiver
    ;;
*)
    echo "usage: $0 servers|bench-tools" >&2
    exit 2
    ;;
esac

# in_environment FOLDER PROGRAM PACKAGES...: servers that need other versions of libraries than the worker does.
in_environment() {
    local folder=$1 program=$2 python=python3
    shift 2
    if [ -x "$folder/bin/$program" ]; then return; fi
    if [ -x .venv/bin/python ]; then python=.venv/bin/python; fi
    rm -rf "$folder"
    if ! "$python" -m venv "$folder" || ! "$folder/bin/pip" install --quiet "$@"; then
        rm -rf "$folder"
        echo "$1 could not be installed into $folder by pip." >&2
        exit 2
    fi
}

if [ "$1" = servers ]; then
    in_environment $mailman runner 'mailman==3.3.10' 'sqlalchemy>=2,<2.1'
    in_environment $tryton trytond 'trytond>=8.2,<8.3' 'trytond-party>=8.2,<8.3'
fi

get_wordpress=
if [ "$1" = servers ] && [ ! -e $wordpress/wp-includes/version.php ]; then get_wordpress=yes; fi
if [ ${#missing[@]} = 0 ] && [ -z "$get_wordpress" ]; then exit 0; fi

if ! has apt-get || ! has dpkg; then
    echo "Missing: ${missing[*]} ${get_wordpress:+wordpress}. This machine has no apt-get; install them by its own means" >&2
    echo "and unpack WordPress into $wordpress. The names are those of Debian's packages." >&2
    exit 2
fi

as_root=(env)
may_install=yes
if [ "$(id -u)" != 0 ]; then
    as_root=(sudo -n env)
    has sudo && sudo -n true 2>/dev/null || may_install=
fi

refresh() {
    [ -n "$may_install" ] || return 1
    local try
    for try in 1 2; do
        if "${as_root[@]}" apt-get update; then return 0; fi
        [ $try = 2 ] || sleep 5 # A mirror that is being renewed answers a moment later.
    done
    return 1
}

# Debian starts a server when it is installed, unless this file says no. One that is there already is left as it is.
policy=/usr/sbin/policy-rc.d
wrote_policy=
download=
clean_up() {
    if [ -n "$wrote_policy" ]; then "${as_root[@]}" rm -f "$policy"; fi
    if [ -n "$download" ]; then rm -rf "$download"; fi
}
trap clean_up EXIT

install_missing() {
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
        install --yes --no-install-recommends "${missing[@]}" </dev/null
}

if [ ${#missing[@]} != 0 ]; then
    if [ -z "$may_install" ]; then
        echo "These packages are missing and this account may not install them. Run:" >&2
        echo "  sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 2
    fi
    if [ ! -e $policy ]; then
        wrote_policy=yes
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
        "${as_root[@]}" chmod 755 $policy
    fi
    # The lists of packages may be absent or old: try, renew them, try again.
    install_missing || { refresh && install_missing; }
fi

if [ -n "$get_wordpress" ]; then
    # The package itself would bring a web server along; its files are all that is needed.
    mkdir -p .servers
    download=$(mktemp -d .servers/download-XXXXXX)
    fetch() { (cd "$download" && apt-get -o APT::Sandbox::User="$(id -un)" download wordpress </dev/null); }
    if ! fetch && ! { refresh && fetch; }; then
        echo "WordPress could not be downloaded. Run: sudo apt-get update, then make servers again" >&2
        exit 2
    fi
    dpkg -x "$download"/wordpress_*.deb "$download/unpacked"
    rm -rf $wordpress
    mv "$download/unpacked/usr/share/wordpress" $wordpress
fi
