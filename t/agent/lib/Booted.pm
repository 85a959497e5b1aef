package Booted;

# A host on which systemd has booted with what `make install` puts there, in a
# container of systemd-nspawn: this machine's /usr, everything else its own.
#
#   my $machine = Booted->start($root, netns => $host->netns);
#   my ($status, $said) = $machine->run('systemctl', 'is-active', 'x.service');
#
# It ends with this process.

use strict;
use warnings;
use Carp qw(croak);
use POSIX ();
use Time::HiRes qw(sleep time);

sub write_to {
    my ($file, $text) = @_;
    open my $to, '>', $file or croak "$file: $!";
    print $to $text;
    close $to or croak "$file: $!";
    return;
}

# What a system needs beside /usr to boot.
sub lay {
    my ($root) = @_;
    for my $dir (qw(usr etc var run tmp root dev proc sys var/log var/log/journal)) {
        mkdir "$root/$dir";
    }
    for my $dir (qw(bin sbin lib lib32 lib64)) {
        symlink readlink "/$dir", "$root/$dir" if -l "/$dir";
    }
    write_to("$root/etc/machine-id", '');
    write_to("$root/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
            . "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
            . "messagebus:x:101:101::/:/usr/sbin/nologin\n");
    write_to("$root/etc/group", "root:x:0:\nnogroup:x:65534:\nmessagebus:x:101:\n");
    system 'cp', '/etc/ld.so.cache', '/usr/lib/os-release', "$root/etc";
    return;
}

# Control groups of its own, so that what systemd makes meets nobody else's.
sub _groups {
    my ($name) = @_;
    my (%at, @made);
    open my $mounts, '<', '/proc/self/mountinfo' or croak $!;
    while (<$mounts>) {
        my ($point, $type, $options) =
            m{^\S+ \S+ \S+ / (\S+) .* - (cgroup2?) \S+ (\S+)$} or next;
        my $key = $type eq 'cgroup2' ? '' : $options =~ /(name=systemd)/ ? $1 : next;
        $at{$key} //= $point;
    }
    open my $own, '<', '/proc/self/cgroup' or croak $!;
    while (<$own>) {
        my ($key, $path) = /^\d+:([^:]*):(.*)$/ or next;
        next if !defined $at{$key};
        my $dir = ($at{$key} . ($path eq '/' ? '' : $path)) . "/$name";
        next if !mkdir $dir;
        push @made, $dir;
    }
    return @made;
}

sub start {
    my ($class, $root, %opt) = @_;
    my $self = bless { root => $root, owner => $$, groups => [ _groups("goconnect-boot-$$") ] },
        $class;
    lay($root);
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$root.log";
        open STDERR, '>&', \*STDOUT;
        POSIX::setsid();
        write_to("$_/cgroup.procs", "$$\n") for @{ $self->{groups} };
        exec 'setpriv', '--pdeathsig', 'KILL', '--', 'systemd-nspawn', '--quiet', '--boot',
            '--register=no', '--keep-unit', '--link-journal=no', '--console=pipe', '--directory',
            $root, '--network-namespace-path', $opt{netns}, '--bind-ro=/usr',
            '--bind=/dev/net/tun', '--capability=CAP_NET_ADMIN,CAP_NET_RAW',
            'systemd.unit=multi-user.target'
            or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    return $self;
}

# The first process of it, as this process sees it; 0: not there (any more).
sub leader {
    my ($self) = @_;
    return 0 if !$self->alive;
    open my $fh, '<', "/proc/$self->{pid}/task/$self->{pid}/children" or return 0;
    my @of = split ' ', <$fh> // '';
    for my $pid (@of) {
        open my $status, '<', "/proc/$pid/status" or next;
        return $pid if grep { /^NSpid:\s+\d+\s+1$/ } <$status>;
    }
    return 0;
}

sub alive {
    my ($self) = @_;
    $self->{ended} = 1 if !$self->{ended} && waitpid($self->{pid}, POSIX::WNOHANG) != 0;
    return !$self->{ended};
}

sub said {
    my ($self) = @_;
    open my $fh, '<', "$self->{root}.log" or return '';
    local $/;
    return <$fh> // '';
}

# Runs a command there to its end: (exit status, stdout and stderr together).
sub run {
    my ($self, @command) = @_;
    my $leader = $self->leader or return (127, 'it does not run');
    my $pid = open(my $out, '-|') // croak "fork: $!";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec 'timeout', '-k', '5', '120', 'nsenter', '-t', $leader, '--mount', '--uts', '--ipc',
            '--net', '--pid', '--root', '--wd', 'env', '-i', 'PATH=/usr/sbin:/usr/bin',
            'HOME=/root', 'LC_ALL=C.UTF-8', @command
            or POSIX::_exit(127);
    }
    local $/;
    my $said = <$out> // '';
    close $out;
    return ($? & 127 ? 128 + ($? & 127) : $? >> 8, $said);
}

# A property of a unit.
sub show {
    my ($self, $unit, $property) = @_;
    my (undef, $said) = $self->run('systemctl', 'show', '--value', '-p', $property, $unit);
    chomp $said;
    return $said;
}

sub stop {
    my ($self) = @_;
    return if $self->{owner} != $$ || $self->{stopped}++;
    my $leader = $self->leader;
    kill 'KILL', $leader if $leader;
    kill 'KILL', $self->{pid} if !$leader && $self->alive;
    waitpid $self->{pid}, 0 if !$self->{ended};
    for my $group (@{ $self->{groups} }) {
        system 'find', $group, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', '+';
    }
    return;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $!, $@);
    $self->stop;
    return;
}

1;
