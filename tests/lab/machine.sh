#!/bin/sh
# Process 1 of a machine of the lab: NAME FOLDER DAEMON... in namespaces of its own. It ends, and all of the machine
# with it, when its standard input does, which the lab holds: a lab that was killed leaves no machine running.
name=$1 folder=$2
shift 2
set -e
hostname "$name"
mount --make-rprivate /
mount -t tmpfs tmpfs /run
# A name server that refuses: otherwise each start waits half a minute for a registry.
mount --bind "$folder/resolv.conf" /etc/resolv.conf
mount --bind "$folder/hosts" /etc/hosts
if [ -e "$folder/volumes.img" ]; then
  # dockerd makes a mount of its data folder, which would hide what is mounted below, unless it is one already.
  mount --bind "$folder/data" "$folder/data"
  mkdir -p "$folder/data/volumes"
  mount -o loop "$folder/volumes.img" "$folder/data/volumes"
fi
set +e
read -r _ # the network is there
if [ -e "$folder/../ssh/server.conf" ]; then
  mkdir -m 755 /run/sshd
  /usr/sbin/sshd -f "$folder/../ssh/server.conf"
fi
[ $# = 0 ] || while :; do
  "$@" >>"$folder/dockerd.log" 2>&1
  [ ! -e "$folder/off" ] || break
  sleep 1
done &
cat >/dev/null
