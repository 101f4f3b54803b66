#!/bin/sh
# The part of the official image's entry point that the stack uses: at the first start it makes the data
# folder and runs the SQL of /docker-entrypoint-initdb.d; MARIADB_*_FILE name files with values.
set -eu
data=/var/lib/mysql
value() { # NAME: the variable's value, or the content of the file that NAME_FILE names
  eval "direct=\${$1:-} file=\${$1_FILE:-}"
  if [ -n "$file" ]; then cat "$file"; else printf '%s' "$direct"; fi
}
quoted() { printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e "s/'/''/g"; }
if [ "${1#mariadbd}" != "$1" ] && [ ! -d "$data/mysql" ]; then
  user="" ; [ "$(id -u)" != 0 ] || user="--user=mysql"
  mariadb-install-db --no-defaults --datadir="$data" --skip-test-db --auth-root-authentication-method=normal $user >/dev/null
  # Without a network nobody takes the server for ready before it is set up.
  # As the image does it: with what the server is given itself, so that its binlog is on while the login is made.
  "$@" --datadir="$data" --socket=/run/mysqld/setup.sock --skip-networking --wsrep-on=OFF $user &
  setup=$!
  until mariadb-admin --no-defaults --socket=/run/mysqld/setup.sock ping >/dev/null 2>&1; do
    kill -0 "$setup"; sleep 0.1
  done
  root=$(value MARIADB_ROOT_PASSWORD)
  [ -z "${MARIADB_RANDOM_ROOT_PASSWORD:-}" ] || root=$(tr -dc A-Za-z0-9 </dev/urandom | head -c 32)
  {
    echo "SET SESSION sql_log_bin = 0;"
    echo "DROP USER IF EXISTS root@'127.0.0.1', root@'::1', ''@localhost, ''@'$(hostname)', root@'$(hostname)';"
    echo "CREATE USER root@'${MARIADB_ROOT_HOST:-%}' IDENTIFIED BY '$(quoted "$root")';"
    echo "GRANT ALL ON *.* TO root@'${MARIADB_ROOT_HOST:-%}' WITH GRANT OPTION;"
    echo "ALTER USER root@localhost IDENTIFIED BY '$(quoted "$root")';"
    echo "SET SESSION sql_log_bin = 1;"
    if [ -n "${MARIADB_DATABASE:-}" ]; then echo "CREATE DATABASE IF NOT EXISTS \`$MARIADB_DATABASE\`;"; fi
    if [ -n "${MARIADB_USER:-}" ]; then
      echo "CREATE USER '$MARIADB_USER'@'%' IDENTIFIED BY '$(quoted "$(value MARIADB_PASSWORD)")';"
      echo "GRANT ALL ON \`${MARIADB_DATABASE}\`.* TO '$MARIADB_USER'@'%';"
    fi
  } | mariadb --no-defaults --socket=/run/mysqld/setup.sock -uroot
  for file in /docker-entrypoint-initdb.d/*.sql; do
    [ ! -e "$file" ] || MYSQL_PWD=$root mariadb --no-defaults --socket=/run/mysqld/setup.sock -uroot <"$file"
  done
  kill "$setup"
  wait "$setup"
fi
exec "$@"
