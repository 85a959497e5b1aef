package GoConnect::Cluster;

# A private PostgreSQL cluster for tests: UNIX socket only, no fsync. One is
# shared by all files of a test run (t/run starts it and names its folder in
# GOCONNECT_CLUSTER); a file that is run alone gets its own. initdb and the
# migrations are done once and kept below build/, by the checksum of sql/.

use strict;
use warnings;
use Carp qw(croak);
use Cwd qw(abs_path);
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

our $ROOT  = abs_path(dirname(__FILE__) . '/../../..');
our $BUILD = $ENV{GOCONNECT_BUILD} || "$ROOT/build";
our $TEMPLATE = 'goconnect_template';

my ($shared, $bin);

sub bin_dir {
    return $bin if $bin;
    my @found = sort { ($b =~ m{/(\d+)/bin})[0] <=> ($a =~ m{/(\d+)/bin})[0] }
        glob '/usr/lib/postgresql/*/bin';
    $bin = $found[0] or croak 'PostgreSQL is not installed: run make deps';
    return $bin;
}

sub os_user { $> == 0 ? 'postgres' : scalar getpwuid $> }

# The cluster that this test run shares.
sub shared {
    my ($class) = @_;
    return $shared if $shared;
    if (my $dir = $ENV{GOCONNECT_CLUSTER}) {
        return $shared = bless { dir => $dir, foreign => 1 }, $class;
    }
    return $shared = $class->start;
}

# A cluster of one's own. fsync => 1: as durable as a real one.
sub start {
    my ($class, %opt) = @_;
    my $dir = tempdir('gcpg-XXXXXX', DIR => '/tmp', CLEANUP => 0);
    my $self = bless { dir => $dir, owner => $$, %opt }, $class;
    chmod 0755, $dir;
    chown + (getpwnam os_user())[2, 3], $dir if $> == 0;

    my $tar = $self->_template;
    _run('tar', '-C', $dir, '-xf', $tar);
    open my $conf, '>>', "$dir/data/postgresql.conf" or croak $!;
    print $conf "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\n"
        if $opt{fsync};
    print $conf "unix_socket_directories = '$dir'\n";
    close $conf;
    $self->up;
    return $self;
}

sub dir { $_[0]{dir} }
sub log_file { "$_[0]{dir}/postgresql.log" }

sub conninfo {
    my ($self, $database, $user) = @_;
    return "host=$self->{dir} dbname=$database user=$user";
}

# Starts the postmaster and waits until it serves.
sub up {
    my ($self) = @_;
    croak 'this cluster belongs to another process' if $self->{foreign};
    croak 'the cluster is up already' if $self->{pid};
    my $dir = $self->{dir};
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$dir/postgresql.log";
        open STDERR, '>&', \*STDOUT;
        delete @ENV{ grep { /^PG/ } keys %ENV };
        $ENV{LC_ALL} = 'C.UTF-8';
        POSIX::setsid();
        exec "$ROOT/scripts/as", os_user(), 'INT', $dir, bin_dir() . '/postgres',
            '-D', "$dir/data" or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    my $end = time + 60;
    while (time < $end) {
        if (waitpid($pid, WNOHANG) == $pid) {
            delete $self->{pid};
            croak "postgres ended at start:\n" . $self->log_tail;
        }
        if (open my $fh, '<', "$dir/data/postmaster.pid") {
            my @line = <$fh>;
            return $self if @line >= 8 && $line[0] == $pid && $line[7] =~ /ready/;
        }
        sleep 0.01;
    }
    croak "postgres did not start in 60 s:\n" . $self->log_tail;
}

# Stops the postmaster: 'fast' (INT), 'immediate' (QUIT) or 'smart' (TERM).
sub down {
    my ($self, $mode) = @_;
    my $pid = delete $self->{pid} or return;
    kill { fast => 'INT', immediate => 'QUIT', smart => 'TERM' }->{ $mode // 'fast' },
        $pid;
    my $end = time + 60;
    while (time < $end) {
        return 1 if waitpid($pid, WNOHANG) != 0;
        sleep 0.01;
    }
    kill 'KILL', $pid;
    waitpid $pid, 0;
    croak 'postgres did not stop in 60 s';
}

sub log_tail {
    my ($self) = @_;
    open my $fh, '<', $self->log_file or return '';
    my @line = <$fh>;
    splice @line, 0, -20 if @line > 20;
    return join '', @line;
}

# Runs SQL as the superuser and returns what psql prints (-A -t): the value of
# a one-column row, columns parted by |. Dies with the server's message.
sub sql {
    my ($self, $database, $sql) = @_;
    my ($out, $err) = $self->psql($database, $sql);
    croak "SQL failed: $err" if length $err;
    return $out;
}

# The same, but returns (output, error text, notices); for statements that
# should fail, or tell something.
sub psql {
    my ($self, $database, $sql, $user) = @_;
    my $file = File::Temp->new;
    print $file $sql;
    close $file;
    my $err = File::Temp->new;
    my $pid = open(my $fh, '-|') // croak "fork: $!";
    if (!$pid) {
        open STDERR, '>', $err->filename;
        delete @ENV{ grep { /^PG/ } keys %ENV };
        $ENV{PGOPTIONS} = '-c client_min_messages=warning';
        exec bin_dir() . '/psql', '-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1',
            '-d', $self->conninfo($database, $user // 'postgres'), '-f', $file->filename
            or POSIX::_exit(127);
    }
    my $out = do { local $/; <$fh> } // '';
    close $fh;
    my $failed = $?;
    open my $eh, '<', $err->filename or croak $!;
    my $text = do { local $/; <$eh> } // '';
    chomp $out;
    return ($out, $failed ? $text || "psql ended with $failed" : '', $text);
}

my $number = 0;

# Makes a database from the migrated template and returns its name.
sub create_database {
    my ($self, $name) = @_;
    $name //= "gc_${$}_" . ++$number;
    $self->sql('postgres', qq(CREATE DATABASE "$name" TEMPLATE $TEMPLATE));

    # CREATE DATABASE does not copy the template's privileges.
    my $grants = $self->sql('postgres', <<~SQL);
        SELECT string_agg(format('GRANT %s ON DATABASE "$name" TO %s', privilege_type,
               CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END), ';')
        FROM pg_database, aclexplode(datacl) WHERE datname = '$TEMPLATE'
        SQL
    $self->sql('postgres', qq(REVOKE ALL ON DATABASE "$name" FROM PUBLIC; $grants))
        if length $grants;
    return $name;
}

sub drop_database {
    my ($self, $name) = @_;
    $self->sql('postgres', qq(DROP DATABASE IF EXISTS "$name" WITH (FORCE)));
    return;
}

# Applies this tree's sql/ to a database, as an administrator would.
sub migrate {
    my ($self, $database) = @_;
    my $log = "$self->{dir}/migrate.log";
    local $ENV{PGOPTIONS};
    system('/bin/sh', '-c', 'exec "$0" "$1" >"$2" 2>&1', "$ROOT/sql/migrate",
        $self->conninfo($database, 'postgres'), $log) == 0
        or croak 'sql/migrate failed: ' . _slurp($log);
    return;
}

sub _slurp {
    open my $fh, '<', $_[0] or return '';
    local $/;
    return scalar <$fh>;
}

sub _run {
    my (@command) = @_;
    my $out = `@{[ join ' ', map { quotemeta } @command ]} 2>&1`;
    croak "@command: $out" if $?;
    return $out;
}

# The path of a tar with a data folder that is initialised and migrated.
sub _template {
    my ($self) = @_;
    my $user = os_user();
    mkdir $BUILD;
    mkdir "$BUILD/test";
    my $key = _run('sh', '-c',
        "cd $ROOT && { echo $user; dpkg-query -W -f='\${Version}' postgresql-15; "
            . 'find sql -type f | LC_ALL=C sort | xargs cat; } | cksum');
    $key =~ s/\D+/-/g;
    my $tar = "$BUILD/test/cluster-${key}v2.tar";
    open my $lock, '>', "$BUILD/test/cluster.lock" or croak $!;
    flock $lock, LOCK_EX;
    return $tar if -e $tar;

    unlink glob "$BUILD/test/cluster-*.tar";
    my $dir = $self->{dir};
    my @as  = ("$ROOT/scripts/as", $user, 'INT', $dir);
    _run(@as, bin_dir() . '/initdb', '-D', "$dir/data", '-U', 'postgres', '-A',
        'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync', '--no-instructions');
    open my $conf, '>>', "$dir/data/postgresql.conf" or croak $!;
    print $conf <<~CONF;
        listen_addresses = ''
        unix_socket_permissions = 0777
        max_connections = 400
        shared_buffers = 64MB
        fsync = off
        full_page_writes = off
        synchronous_commit = on
        wal_level = replica
        max_wal_senders = 0
        autovacuum_naptime = 10s
        logging_collector = off
        log_line_prefix = '%m [%p] %d '
        CONF
    close $conf;
    my $maker = bless { dir => $dir, owner => 0 }, ref $self;
    open $conf, '>>', "$dir/data/postgresql.auto.conf" or croak $!;
    print $conf "unix_socket_directories = '$dir'\n";
    close $conf;
    $maker->up;
    $maker->sql('postgres', "CREATE DATABASE $TEMPLATE");
    $maker->migrate($TEMPLATE) if -x "$ROOT/sql/migrate";
    $maker->down;
    unlink "$dir/data/postgresql.auto.conf";
    _run('touch', "$dir/data/postgresql.auto.conf");
    _run('chown', "$user:", "$dir/data/postgresql.auto.conf") if $> == 0;
    _run('tar', '-C', $dir, '-cf', "$tar.new", 'data');
    rename "$tar.new", $tar or croak $!;
    _run('rm', '-rf', "$dir/data");
    return $tar;
}

# Stops the cluster and removes it.
sub destroy {
    my ($self) = @_;
    return if $self->{foreign} || ($self->{owner} // 0) != $$ || !-d $self->{dir};
    $self->down('immediate') if $self->{pid};
    system 'rm', '-rf', $self->{dir};
    return;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $!, $@);
    $self->destroy;
    return;
}

END {
    local ($?, $!, $@);
    $shared->destroy if $shared;
}

1;
