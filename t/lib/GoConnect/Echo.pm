package GoConnect::Echo;

# nginx with the tests' echo server (t/ws/echo): the WebSocket layer alone, no
# database. Locations: /whole, /bytewise, /resting, /deflate.
#
#   my $s = GoConnect::Echo->start(workers => 1);
#   my $ws = GoConnect::RawWS->connect($s, path => '/whole', no_hello => 1);
#   $s->stop;

use strict;
use warnings;
use Carp qw(croak);
use File::Temp qw(tempdir);
use parent 'GoConnect::Server';
use Test::More ();

sub start {
    my ($class, %opt) = @_;
    my $self = bless { workers => 1, address => '127.0.0.1', main => '', %opt, owner => $$,
        allow_lines => [] }, $class;
    $self->{dir} = tempdir('gce-XXXXXX', DIR => '/tmp', CLEANUP => 0);
    mkdir "$self->{dir}/tmp";
    chmod 0777, "$self->{dir}/tmp";
    chmod 0755, $self->{dir};
    for my $try (1 .. 5) {
        $self->{port} = GoConnect::Server::free_port();
        $self->write_config;
        return $self if $self->_launch;
        croak "nginx did not start:\n" . $self->log if $self->log !~ /Address already in use/;
        truncate "$self->{dir}/error.log", 0;
    }
    croak 'no free port';
}

sub write_config {
    my ($self) = @_;
    my $user = GoConnect::Server::worker_user();
    my $build = $GoConnect::Server::BUILD;
    my $temp = join '', map { "    ${_}_temp_path $self->{dir}/tmp/$_;\n" }
        qw(client_body proxy fastcgi scgi uwsgi);
    $self->write_file('nginx.conf', <<"CONF");
load_module $build/echo/ngx_http_ws_echo_module.so;
daemon off;
$user
pid $self->{dir}/nginx.pid;
worker_processes $self->{workers};
$self->{main}
events { worker_connections 4096; }
http {
    access_log off;
$temp
    server {
        listen $self->{address}:$self->{port};
        location /whole { ws_echo; }
        location /bytewise { ws_echo bytewise; }
        location /resting { ws_echo resting; }
        location /deflate { ws_echo deflate; }
    }
}
CONF
    return $self;
}

# Ends nginx; what it logged that should not be there fails the test.
sub stop {
    my ($self) = @_;
    return if $self->{stopped}++;
    $self->halt;
    my @wrong = $self->{halt_failed} ? 'nginx had to be killed' : ();
    push @wrong, $self->bad_lines;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok(!@wrong, 'the server stops clean') or Test::More::diag(join "\n", @wrong);
    $self->_clean;
    return !@wrong;
}

sub _clean {
    my ($self) = @_;
    $self->halt('TERM') if $self->{master};
    system 'rm', '-rf', $self->{dir} if !$ENV{GOCONNECT_KEEP};
    return;
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{stopped} || $self->{owner} != $$;
    local ($?, $!, $@);
    $self->_clean;
    return;
}

1;
