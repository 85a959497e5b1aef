package GoConnect::Example::Files;

# The files of conf/cluster/ as they are laid down on the machines of a
# GoConnect::Example.

use strict;
use warnings;
use Carp qw(croak);
use File::Path qw(make_path);
use GoConnect::Cluster;
use GoConnect::Server;

our $ROOT  = $GoConnect::Cluster::ROOT;
our $BUILD = $GoConnect::Cluster::BUILD;

my @MACHINE = qw(one two three);

sub machines { return @MACHINE }

# A file of conf/cluster/ as a person fills it in for a machine.
sub text {
    my ($self, $name, $machine) = @_;
    open my $fh, '<', "$ROOT/conf/cluster/$name" or croak "$name: $!";
    my $text = do { local $/; <$fh> };
    my $at = $self->address($machine);
    $text =~ s/\b([A-Z]+)-PASSWORD\b/$self->{password}{$1} \/\/ croak "no password $1"/ge;
    $text =~ s/\bNAME\b/$machine/g;
    $text =~ s/\bADDRESS\b/$at/g;
    $text =~ s/\bTOKEN\b/$self->{password}{TOKEN}/g;
    $text =~ s/\b10\.77\.0\.([123])\b/$self->address($MACHINE[$1 - 1])/ge;
    $text =~ s/127\.0\.0\.1:8080/$at:8080/g;
    $text =~ s/GOCONNECT\.EXAMPLE\.ORG/localhost/g;
    # what a machine for tests may not let anybody have
    $text =~ s/^(\s*(?:maxconn|worker_rlimit_nofile|worker_connections)) \d+/$1 2000/mg;
    $text =~ s{/usr/lib/nginx/modules}{$BUILD/nginx};
    $text =~ s{/usr/local/share/goconnect/html}{$ROOT/html}g;
    $text =~ s{(?<![\w./])/(?=(?:var|run|dev|etc/(?:goconnect|haproxy|redis))/)}{$self->{dir}/$machine/}g;
    return $text;
}

# Lays a file down; by default for its owner alone.
sub _put {
    my ($self, $path, $text, $user, $mode) = @_;
    open my $fh, '>', $path or croak "$path: $!";
    chmod $mode // 0600, $fh;
    print $fh $text;
    close $fh or croak "$path: $!";
    _own($user, $path);
    return;
}

sub _own {
    my ($user, @path) = @_;
    my ($uid, $gid) = (getpwnam $user)[2, 3];
    croak "there is no user $user: run make deps" if !defined $uid;
    chown $uid, $gid, @path;
    return;
}

sub _folders {
    my ($self) = @_;
    for my $machine ($self->machines) {
        my $at = "$self->{dir}/$machine";
        make_path(map { "$at/$_" } qw(var/lib/etcd var/lib/postgresql/15 run/postgresql var/log
            etc/patroni etc/goconnect etc/redis etc/haproxy var/lib/redis run/haproxy var/log/goconnect
            var/lib/goconnect-server run/goconnect-server run/credentials/goconnect-server.service));
        _own('etcd', "$at/var/lib/etcd");
        chmod 0700, "$at/var/lib/etcd";
        _own('postgres', map { "$at/$_" } qw(var/lib/postgresql var/lib/postgresql/15 run/postgresql));
        _own('redis', "$at/var/lib/redis");
        $self->_put("$at/etc/etcd", $self->text('etcd.default', $machine), 'root');
        $self->_node($machine) if $machine ne 'three';
    }
    my $at = "$self->{dir}/three";
    $self->_put("$at/etc/redis/redis.conf", $self->text('redis.conf', 'three'), 'redis');
    $self->_put("$at/etc/haproxy/haproxy.cfg", $self->text('haproxy.cfg', 'three'), 'root');
    return;
}

# What a node has, and its database.
sub _node {
    my ($self, $machine) = @_;
    my $at = "$self->{dir}/$machine";
    my $tls = "$self->{dir}/tls";
    $self->_put("$at/etc/patroni/config.yml", $self->text('patroni.yml', $machine), 'postgres');
    if (!-e "$tls.key") {
        my $said = `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \\
            -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout $tls.key -out $tls.crt 2>&1`;
        croak "openssl: $said" if $?;
        $self->{keys} = GoConnect::Server::make_keys();
    }
    my $user = $self->node_user;
    system 'cp', "$tls.key", "$tls.crt", "$at/run/credentials/goconnect-server.service/";
    chmod 0644, glob "$at/run/credentials/goconnect-server.service/*";
    $self->_put("$at/etc/goconnect/keys", $self->{keys}, $user);
    $self->_put("$at/etc/goconnect/pgpass", "*:5432:goconnect:goconnect:$self->{password}{GOCONNECT}\n", $user);
    $self->_put("$at/etc/goconnect/bus-password", "$self->{password}{BUS}\n", $user);
    for my $name (qw(log.conf locations.conf)) {
        system 'cp', "$ROOT/conf/$name", "$at/etc/goconnect/$name";
    }
    $self->_put("$at/etc/goconnect/nginx.conf", $self->text('nginx.conf', $machine), $user);
    _own($user, map { "$at/$_" } qw(etc/goconnect run/goconnect-server var/log/goconnect var/lib/goconnect-server));
    return;
}

# Is Redis the bus of the nodes?
sub has_redis { return $_[0]->text('nginx.conf', 'one') =~ /^\s*goconnect_bus redis:/m }

sub node_user { return GoConnect::Server::worker_user() =~ /www-data/ ? 'www-data' : 'root' }

1;
