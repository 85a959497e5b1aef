package GoConnect::Standby;

# Two PostgreSQL clusters, one streaming to the other, synchronously: what a
# server is given instead of one (cluster => $pair), by a connection string that
# names both.
#
#   my $pair = GoConnect::Standby->start;
#   $pair->kill_primary;      # kill -9 of all of it
#   $pair->promote;           # the standby takes over, and waits for nobody
#   $pair->rebuild;           # the dead one becomes its standby
#
# A manager such as Patroni does the same; here the test is the manager.

use strict;
use warnings;
use Carp qw(croak);
use File::Temp qw(tempdir);
use GoConnect::Cluster;
use Time::HiRes qw(sleep time);

sub start {
    my ($class) = @_;
    my $primary = GoConnect::Cluster->start(fsync => 1);
    my $self = bless { primary => $primary, owner => $$ }, $class;
    # postgresql.conf is what a base backup takes along
    $primary->down;
    _append($primary, "max_wal_senders = 4\nwal_keep_size = '256MB'\nhot_standby = on\n");
    $primary->up;
    $self->{standby} = bless { dir => tempdir('gcpg-XXXXXX', DIR => '/tmp', CLEANUP => 0), owner => $$ },
        'GoConnect::Cluster';
    $self->{dirs} = [ $primary->dir, $self->{standby}->dir ];
    chmod 0755, $self->{standby}->dir;
    chown + (getpwnam GoConnect::Cluster::os_user())[2, 3], $self->{standby}->dir if $> == 0;
    $self->rebuild;
    return $self;
}

sub _append {
    my ($cluster, $text) = @_;
    open my $conf, '>>', $cluster->dir . '/data/postgresql.conf' or croak $!;
    print $conf $text;
    close $conf;
    return;
}

sub primary { $_[0]{primary} }
sub standby { $_[0]{standby} }

# For the module: both, and the one that takes writes.
sub conninfo {
    my ($self, $database, $user) = @_;
    return 'host=' . join(',', @{ $self->{dirs} })
        . " dbname=$database user=$user target_session_attrs=read-write";
}

# Whoever asks for a GoConnect::Cluster means the primary.
sub sql { my $self = shift; return $self->{primary}->sql(@_) }
sub psql { my $self = shift; return $self->{primary}->psql(@_) }
sub create_database { my $self = shift; return $self->{primary}->create_database(@_) }
sub drop_database { my $self = shift; return $self->{primary}->drop_database(@_) }

sub _children {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/task/$pid/children" or return;
    return split ' ', <$fh> // '';
}

# The whole of the primary at once.
sub kill_primary {
    my ($self) = @_;
    my $pid = delete $self->{primary}{pid} or croak 'the primary is down already';
    kill 'STOP', $pid;
    my @child = _children($pid);
    kill 'KILL', $pid, @child;
    waitpid $pid, 0;
    my $end = time + 30;
    while (grep { kill 0, $_ } @child) {
        croak 'the primary does not die' if time > $end;
        sleep 0.005;
    }
    return $self;
}

# The standby becomes the primary. It waits for no standby, having none.
sub promote {
    my ($self) = @_;
    @$self{qw(primary standby)} = @$self{qw(standby primary)};
    my $new = $self->{primary};
    _append($new, "synchronous_standby_names = ''\n");
    $new->sql('postgres', 'SELECT pg_promote(wait => true, wait_seconds => 60)') eq 't'
        or croak "the standby was not promoted:\n" . $new->log_tail;
    return $self;
}

# Makes the one that is down a standby of the other, and waits until every
# commit waits for it.
sub rebuild {
    my ($self) = @_;
    my ($primary, $standby) = @$self{qw(primary standby)};
    my $dir = $standby->dir;
    system 'rm', '-rf', "$dir/data";
    GoConnect::Cluster::_run("$GoConnect::Cluster::ROOT/scripts/as", GoConnect::Cluster::os_user(), 'INT',
        $dir, GoConnect::Cluster::bin_dir() . '/pg_basebackup', '-D', "$dir/data", '-R', '-c', 'fast',
        '--no-sync', '-d', 'host=' . $primary->dir . ' user=postgres application_name=standby');
    _append($standby, "unix_socket_directories = '$dir'\n");
    $standby->up;
    _append($primary, "synchronous_standby_names = 'standby'\n");
    $primary->sql('postgres', 'SELECT pg_reload_conf()');
    my $end = time + 60;
    while ($primary->sql('postgres', "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") != 1) {
        croak "the standby does not follow:\n" . $standby->log_tail if time > $end;
        sleep 0.02;
    }
    return $self;
}

# The standby stands still: commits wait for it, until thaw().
sub freeze {
    my ($self) = @_;
    my $pid = $self->{standby}{pid};
    kill 'STOP', $pid, _children($pid);
    return $self;
}

sub thaw {
    my ($self) = @_;
    my $pid = $self->{standby}{pid};
    kill 'CONT', $pid, _children($pid);
    return $self;
}

# Commits do not wait for the standby any more, and nothing more reaches it.
sub cut_off {
    my ($self) = @_;
    my $primary = $self->{primary};
    _append($primary, "synchronous_standby_names = ''\n");
    $primary->sql('postgres', 'SELECT pg_reload_conf()');
    my $end = time + 30;
    while ($primary->sql('postgres', 'SHOW synchronous_standby_names') ne '') {
        croak 'the primary does not hear' if time > $end;
        sleep 0.01;
    }
    kill 'STOP', split /\n/, $primary->sql('postgres', 'SELECT pid FROM pg_stat_replication');
    return $self;
}

sub destroy {
    my ($self) = @_;
    return if $self->{owner} != $$;
    $self->thaw if $self->{standby} && $self->{standby}{pid};
    $_->destroy for grep { $_ } @$self{qw(standby primary)};
    return;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $!, $@);
    $self->destroy;
    return;
}

1;
