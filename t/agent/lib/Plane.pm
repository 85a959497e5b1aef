package Plane;

# A scripted control plane: what goconnectd and goconnect ask is answered from
# a small model, and the test says what goes wrong. It runs in a process of its
# own; the test drives it over HTTP under /_/.
#
#   my $plane = Plane->start(address => '198.18.0.1');
#   my $network = $plane->network('lan');       # {id, code, ...}
#   $plane->add_peer($network, {...});          # a delta to who listens
#   my @frames = $plane->frames('subscribe');   # what the daemon sent
#   $plane->send({type => ...}); $plane->drop(4003); $plane->set(refuse => 1);

use strict;
use warnings;
use Carp qw(croak);
use IO::Socket::INET;
use Mojo::JSON qw(decode_json encode_json true false);
use Mojo::UserAgent;
use MIME::Base64 qw(encode_base64);
use POSIX ();
use Time::HiRes qw(sleep time);

sub start {
    my ($class, %opt) = @_;
    my $self = bless { %opt, scheme => $opt{cert} ? 'https' : 'http' }, $class;
    $self->{address} //= '127.0.0.1';
    $self->{port} //= do {
        my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => $self->{address}, ReuseAddr => 1)
            or croak "no port: $@";
        $s->sockport;
    };
    $self->{owner} = $$;
    $self->_fork;
    return $self;
}

sub _fork {
    my ($self) = @_;
    open $self->{will}, '+>', undef or croak "no temporary file: $!";
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        my $ok = eval { Plane::Server::run($self); 1 };
        print STDERR "plane: $@" if !$ok;
        POSIX::_exit(1);
    }
    $self->{pid} = $pid;
    my $end = time + 10;
    until (eval { $self->_ask('ping', {}); 1 }) {
        croak 'the plane did not start' if time > $end;
        sleep 0.02;
    }
    return;
}

sub url {
    my ($self) = @_;
    my $host = $self->{name} // $self->{address};
    return "$self->{scheme}://$host:$self->{port}";
}

# Every call has a new client: the plane may have been killed meanwhile.
sub _ask {
    my ($self, $what, $body) = @_;
    my $ua = Mojo::UserAgent->new(insecure => 1, inactivity_timeout => 10);
    my $tx = $ua->post("$self->{scheme}://$self->{address}:$self->{port}/_/$what" => json => $body);
    my $err = $tx->error;
    croak "plane: $what: " . ($err->{message} // '?') if $err;
    return $tx->res->json;
}

sub network { $_[0]->_ask(network => { name => $_[1], %{ $_[2] // {} } }) }
sub add_peer { $_[0]->_ask(peer => { network => $_[1]{id}, peer => $_[2] }) }
sub remove_peer { $_[0]->_ask(unpeer => { network => $_[1]{id}, peer => $_[2] }) }
sub send { $_[0]->_ask(send => { frame => $_[1] }) }
sub send_raw { $_[0]->_ask(send => { raw => $_[1] }) }
sub chat { $_[0]->_ask(chat => { network => $_[1]{id}, content => $_[2] }) }
sub drop { $_[0]->_ask(drop => { code => $_[1] }) }
sub set { my ($self, %v) = @_; $self->_ask(set => \%v) }
sub state { $_[0]->_ask(state => {}) }
sub kick { $_[0]->_ask(kick => { network => $_[1]{id} }) }

# All that was received since the last clear(), or only frames of a type.
sub frames {
    my ($self, $type) = @_;
    return grep { !$type || $_->{type} eq $type } @{ $self->state->{frames} };
}

sub requests { map { "$_->{method} $_->{path}" } @{ $_[0]->state->{requests} } }
sub clear { $_[0]->_ask(clear => {}) }

# Waits until check() says true for the state; dies with the state else.
sub wait_for {
    my ($self, $what, $check, $seconds) = @_;
    my $end = time + ($seconds // 20);
    my $state;
    while (time < $end) {
        $state = eval { $self->state };
        local $_ = $state;
        return $state if $state && $check->($state);
        sleep 0.03;
    }
    return;
}

# Ends it as a power cut would; resume() brings the same plane back, which
# knows all that it has told anybody: it writes its memory down and ends in one
# step, as between a copy and a later end it would go on answering. Or it
# comes back as memory() was once.
sub kill {
    my ($self) = @_;
    eval { $self->_ask(die => {}) };
    CORE::kill 'KILL', $self->{pid};
    waitpid delete $self->{pid}, 0;
    my $will = delete $self->{will};
    seek $will, 0, 0;
    local $/;
    $self->{saved} = decode_json(<$will> || croak 'the plane left no will');
    return;
}

sub memory { $_[0]->_ask(dump => {}) }

sub resume {
    my ($self, $memory) = @_;
    $self->{saved} = $memory if $memory;
    $self->_fork;
    return $self;
}

# Stops answering without closing anything.
sub freeze { CORE::kill 'STOP', $_[0]{pid} }
sub thaw { CORE::kill 'CONT', $_[0]{pid} }

sub DESTROY {
    my ($self) = @_;
    local ($?, $!, $@);
    return if !$self->{pid} || $self->{owner} != $$;
    CORE::kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}

# ------------------------------------------------------------------ the server

package Plane::Server;

use strict;
use warnings;
use Mojo::JSON qw(decode_json encode_json true false);
use Mojo::Log;
use Mojo::Server::Daemon;
use Mojolicious;
use Digest::SHA qw(sha1_hex);

my ($m, $will, @sockets, %topics);

sub uuid {
    my ($seed) = @_;
    my $h = sha1_hex($seed);
    return join '-', substr($h, 0, 8), substr($h, 8, 4), '4' . substr($h, 13, 3),
        '8' . substr($h, 17, 3), substr($h, 20, 12);
}

sub fresh { return { frames => [], requests => [], networks => {}, devices => {}, set => {},
    serial => 0, epoch => 'e1', refresh => {}, access => {}, expires => 900 } }

sub run {
    my ($plane) = @_;
    $m = $plane->{saved} // fresh();
    $will = $plane->{will};
    my $app = Mojolicious->new;
    $app->log(Mojo::Log->new(level => 'fatal'));
    $app->secrets(['test']);
    my $r = $app->routes;
    $r->post('/_/:what' => sub { my ($c) = @_;
        my $what = 'ctl_' . $c->param('what');
        no strict 'refs';
        $c->render(json => &$what($c->req->json // {}) // {}) });
    $r->websocket('/v1/ws' => \&socket);
    $r->any('/*rest' => { rest => '' } => \&api);
    my $listen = "$plane->{scheme}://$plane->{address}:$plane->{port}";
    $listen .= "?cert=$plane->{cert}&key=$plane->{key}" if $plane->{cert};
    my $daemon = Mojo::Server::Daemon->new(app => $app, listen => [$listen], silent => 1,
        inactivity_timeout => 300);
    $m->{url} = "$plane->{scheme}://" . ($plane->{name} // $plane->{address}) . ":$plane->{port}";
    $daemon->run;
    return;
}

# ---- what the test says

sub ctl_ping { {} }
sub ctl_state { return { map { $_ => $m->{$_} } qw(frames requests networks devices) , sockets => scalar @sockets } }
sub ctl_dump { $m }
sub ctl_die { syswrite $will, encode_json($m); kill 'KILL', $$ }
sub ctl_clear { $m->{frames} = []; $m->{requests} = []; {} }
sub ctl_set { my ($b) = @_; for (keys %$b) {
    if ($_ eq 'epoch') { $m->{epoch} = $b->{epoch} } elsif ($_ eq 'expires') { $m->{expires} = $b->{$_} }
    else { $m->{set}{$_} = $b->{$_} } } {} }

sub ctl_network {
    my ($b) = @_;
    my $id = uuid("network $b->{name}");
    my $n = keys(%{ $m->{networks} }) + 1;
    my $network = $m->{networks}{$id} = { id => $id, tenant_id => uuid('tenant'), name => $b->{name},
        slug => lc $b->{name}, description => undef, cidr => $b->{cidr} // "10.77.$n.0/24",
        cidr6 => $b->{cidr6}, domain => $b->{domain}, visibility => 'private', join_policy => $b->{policy} // 'invite',
        required_role => 'member', mode => $b->{mode} // 'l3', settings => $b->{settings} // {},
        rules => $b->{rules} // [], joined => false, role => undef,
        created_at => '2026-01-01T00:00:00Z', updated_at => '2026-01-01T00:00:00Z',
        seq => 1, version => 1, peers => {}, events => [], next => $b->{next} // 2, prefix => "10.77.$n",
        code => $b->{code} // substr(uc(sha1_hex($id)) =~ tr/ILOU/1101/r, 0, 10), messages => [] };
    ($network->{prefix}) = $network->{cidr} =~ /^(\d+\.\d+\.\d+)/;
    return { %$network, link => "$m->{url}/i/$network->{code}" };
}

sub peer_object {
    my ($network, $p) = @_;
    my $id = $p->{id} // uuid("peer $network->{id} " . ++$m->{serial});
    my $host = $network->{next}++ % 250;
    my $ip6 = defined $network->{cidr6} ? $network->{cidr6} =~ s{/\d+$}{$host}r : undef;
    return { id => $id, device_id => uuid("device of $id"), user_id => uuid('other'),
        username => 'other', role => 'member', name => "p$m->{serial}",
        ip_address => "$network->{prefix}.$host", ip6_address => $ip6,
        public_key => undef, next_public_key => undef, endpoint => undef, endpoints => [],
        home_relay => undef, gateway => false, via => undef, tags => [], routes => [], %$p, id => $id };
}

sub event {
    my ($network, $type, $data) = @_;
    my $frame = { type => $type, topic => "network:$network->{id}", seq => ++$network->{seq}, data => $data };
    push @{ $network->{events} }, $frame;
    shift @{ $network->{events} } if @{ $network->{events} } > 200;
    publish($frame);
    return $frame;
}

sub delta {
    my ($network, $upsert, $remove) = @_;
    my $base = $network->{version};
    $network->{version} = $network->{seq} + 1;
    return event($network, netmap_delta => { network_id => $network->{id}, base_version => $base,
        version => $network->{version}, upsert => $upsert, remove => $remove });
}

sub ctl_peer {
    my ($b) = @_;
    my $network = $m->{networks}{ $b->{network} };
    my $peer = peer_object($network, $b->{peer});
    $network->{peers}{ $peer->{id} } = $peer;
    delta($network, [$peer], []);
    return $peer;
}

sub ctl_unpeer {
    my ($b) = @_;
    my $network = $m->{networks}{ $b->{network} };
    delete $network->{peers}{ $b->{peer} };
    delta($network, [], [ $b->{peer} ]);
    return {};
}

sub ctl_chat {
    my ($b) = @_;
    my $network = $m->{networks}{ $b->{network} };
    return say_chat($network, $b->{content}, 'other');
}

sub say_chat {
    my ($network, $content, $username) = @_;
    my $message = { id => uuid('message ' . ++$m->{serial}), tenant_id => $network->{tenant_id},
        network_id => $network->{id}, user_id => uuid($username), username => $username,
        content => $content, timestamp => '2026-01-01T12:00:00Z', edited_at => undef,
        deleted => false, number => 1 + @{ $network->{messages} } };
    my $frame = event($network, chat_message => $message);
    push @{ $network->{messages} }, { %$message, seq => $frame->{seq} };
    return { %$message, seq => $frame->{seq} };
}

# The device loses the network, as by a kick: self follows.
sub ctl_kick {
    my ($b) = @_;
    my $network = $m->{networks}{ $b->{network} };
    my @mine = grep { $m->{devices}{ $_->{device_id} } } values %{ $network->{peers} };
    delete $network->{peers}{ $_->{id} } for @mine;
    delta($network, [], [ map { $_->{id} } @mine ]) if @mine;
    return {};
}

sub ctl_send {
    my ($b) = @_;
    for my $s (@sockets) { $s->{tx}->send({ text => $b->{raw} // encode_json($b->{frame}) }) }
    return {};
}

sub ctl_drop {
    my ($b) = @_;
    if ($b->{code}) { $_->{tx}->finish($b->{code}) for @sockets }
    else { Mojo::IOLoop->remove($_->{tx}->connection) for @sockets }
    return {};
}

# ---- WebSocket

sub publish {
    my ($frame) = @_;
    return if $m->{set}{mute};
    for my $s (@sockets) {
        $s->{tx}->send({ text => encode_json($frame) }) if $s->{topics}{ $frame->{topic} };
    }
    return;
}

sub device { my ($token) = @_; return $m->{access}{ $token // '' } }

sub socket {
    my ($c) = @_;
    my $who = device($c->param('token'));
    my $tx = $c->tx;
    $c->rendered(101);
    $c->inactivity_timeout(300);
    push @{ $m->{requests} }, { method => 'WS', path => '/v1/ws', device => $who };
    return $tx->finish($m->{set}{ws_close}) if $m->{set}{ws_close};
    return $tx->finish(4001) if !$who;
    my $s = { tx => $tx, device => $who, topics => {} };
    push @sockets, $s;
    $tx->on(finish => sub { @sockets = grep { $_ != $s } @sockets });
    $tx->on(text => sub { my ($t, $text) = @_; frame($s, decode_json($text)) });
    return if $m->{set}{no_hello};
    my @peers = mine($who);
    $tx->send({ text => encode_json({ type => 'hello', data => { session_id => uuid("session $who"),
        user => { id => uuid('user'), username => 'ada' }, device => { id => $who, name => 'd' },
        node => uuid('node'), epoch => $m->{epoch}, version => 1, heartbeat => 30,
        topics => [], peers => [ map { { network_id => $_->{network_id}, peer_id => $_->{peer_id} } } @peers ] } }) });
    return;
}

sub mine {
    my ($device) = @_;
    my @list;
    for my $network (values %{ $m->{networks} }) {
        for my $p (grep { $_->{device_id} eq $device } values %{ $network->{peers} }) {
            push @list, { network_id => $network->{id}, peer_id => $p->{id}, name => $p->{name},
                ip_address => $p->{ip_address}, ip6_address => $p->{ip6_address},
                public_key => $p->{public_key} };
        }
    }
    return @list;
}

sub frame {
    my ($s, $f) = @_;
    push @{ $m->{frames} }, $f;
    my $answer = {};
    if ($f->{type} eq 'subscribe') {
        my (@ok, @refused, @after);
        for my $t (@{ $f->{data}{topics} }) {
            my ($kind, $id) = $t->{topic} =~ /^(\w+):(.+)$/;
            my $network = $kind eq 'network' ? $m->{networks}{$id} : undef;
            if ($kind eq 'network' && !(grep { $_->{network_id} eq $id } mine($s->{device}))
                && $s->{device} ne 'user') {
                push @refused, { topic => $t->{topic}, code => 'not_found' };
                next;
            }
            $s->{topics}{ $t->{topic} } = 1;
            push @ok, { topic => $t->{topic}, seq => $network ? $network->{seq} : 1 };
            push @after, [ $t, $network ];
        }
        return if $m->{set}{no_answer};
        reply($s, $f, { topics => \@ok, refused => \@refused });
        for (@after) {
            my ($t, $network) = @$_;
            if (!$network) {
                self_frame($s) if $t->{topic} =~ /^device:/;
                next;
            }
            if (!defined $t->{seq}) {
                netmap($s, $network) if $s->{device} ne 'user';
                next;
            }
            # all that came since, or none of it: what is behind the client
            # is missing too
            my @since = grep { $_->{seq} > $t->{seq} } @{ $network->{events} };
            if ($m->{set}{expired} || @since != $network->{seq} - $t->{seq}) {
                @since = { type => 'resync', topic => $t->{topic}, data => { reason => 'expired' } };
            }
            out($s, $_) for @since;
        }
        return;
    }
    if ($f->{type} eq 'endpoints') {
        my $network = $m->{networks}{ $f->{data}{network_id} };
        for my $p (grep { $_->{device_id} eq $s->{device} } values %{ $network->{peers} }) {
            $p->{endpoints} = $f->{data}{endpoints};
            $p->{endpoint} = $f->{data}{endpoints}[0];
            delta($network, [$p], []);
        }
    }
    reply($s, $f, $answer);
    return;
}

sub out { my ($s, $frame) = @_; $s->{tx}->send({ text => encode_json($frame) }) }
sub reply { my ($s, $f, $data) = @_; out($s, { type => 'ok', id => $f->{id}, data => $data }) }

sub self_frame {
    my ($s) = @_;
    out($s, { type => 'self', topic => "device:$s->{device}", seq => 1,
        data => { device => { id => $s->{device} }, peers => [ mine($s->{device}) ] } });
}

sub netmap {
    my ($s, $network) = @_;
    my @peers = sort { $a->{id} cmp $b->{id} } values %{ $network->{peers} };
    my $size = $m->{set}{part} || 100_000;
    my $part = 0;
    my $seq = $network->{seq};
    my $version = $network->{version};
    do {
        my @some = splice @peers, 0, $size;
        my %data = (network_id => $network->{id}, version => $version, part => $part,
            last => (@peers ? false : true), peers => \@some);
        if ($part == 0) {
            $data{network} = { map { $_ => $network->{$_} } qw(id tenant_id name slug description
                cidr cidr6 visibility join_policy required_role mode settings) };
            $data{relays} = []; $data{rules} = $network->{rules};
            $data{dns} = { domain => $network->{domain} // "$network->{slug}.friends.gc" };
        }
        out($s, { type => 'netmap', topic => "network:$network->{id}", seq => $seq, data => \%data });
        # something happens between two parts
        if ($m->{set}{between} && $part == 0) {
            delete $m->{set}{between};
            my $peer = peer_object($network, { public_key => MIME::Base64::encode_base64(
                pack('C', 9) . ('b' x 31), '') });
            $network->{peers}{ $peer->{id} } = $peer;
            delta($network, [$peer], []);
        }
        $part++;
    } while (@peers);
    return;
}

# ---- REST

sub problem {
    my ($c, $status, $code, $detail) = @_;
    return $c->render(status => $status, json => { type => 'about:blank', title => $code,
        status => $status, detail => $detail // $code, code => $code });
}

sub tokens {
    my ($device) = @_;
    my $n = ++$m->{serial};
    my ($access, $refresh) = ("access-$n-$device", "refresh-$n-$device");
    $m->{access}{$access} = $device;
    $m->{refresh}{$refresh} = $device;
    return (access_token => $access, token_type => 'Bearer', expires_in => $m->{expires},
        refresh_token => $refresh);
}

sub api {
    my ($c) = @_;
    my $method = $c->req->method;
    my $path = $c->req->url->path->to_string;
    my $body = $c->req->json;
    push @{ $m->{requests} }, { method => $method, path => $path, body => $body };

    my $forced = $m->{set}{answer};
    if ($forced && "$method $path" =~ /$forced->{match}/) {
        return $c->render(text => $forced->{text}, status => $forced->{status}) if defined $forced->{text};
        return problem($c, $forced->{status}, $forced->{code}, $forced->{detail});
    }
    my ($token) = ($c->req->headers->authorization // '') =~ /^Bearer (.+)$/;
    my $who = device($token);
    my $user = { id => uuid('user'), username => 'ada' };

    if ($path =~ m{^/v1/auth/(login|register)$}) {
        return problem($c, 401, 'invalid_credentials', 'Wrong username or password.')
            if ($body->{password} // '') ne 'correct horse battery';
        return $c->render(json => { user => $user, session_id => uuid('session'), tokens('user') });
    }
    if ($path eq '/v1/auth/refresh') {
        my $device = $m->{refresh}{ $body->{refresh_token} // '' };
        return problem($c, 401, 'invalid_refresh_token', 'Log in again.') if !$device || $m->{set}{refuse};
        return $c->render(json => { user_id => $user->{id}, session_id => uuid('s'), device_id => undef, tokens($device) });
    }
    return enrolled($c, $body) if $path eq '/v1/auth/enroll';
    if ($path eq '/v1/auth/device/code') {
        $m->{asks} = $body;
        my $base = $c->req->url->base;
        return $c->render(json => { device_code => 'secret', user_code => 'ABCD-EFGH',
            verification_uri => 'http://plane.test/device', interval => 1,
            verification_uri_complete => 'http://plane.test/device?code=ABCD-EFGH',
            expires_in => $m->{set}{expires_in} // 600 });
    }
    if ($path eq '/v1/auth/device/token') {
        # what the test has listed, one a question; then it is pending for ever
        my $next = shift @{ $m->{set}{polls} // [] } // 'authorization_pending';
        return enrolled($c, $m->{asks}) if $next eq 'ok';
        return problem($c, $next =~ /^database/ ? 503 : 400, $next);
    }
    return problem($c, 401, 'invalid_token', 'Log in.') if !$who || $m->{set}{refuse};

    return $c->rendered(204) if $path eq '/v1/auth/logout';
    if ("$method $path" eq 'POST /v1/devices') {
        my $id = uuid('device ' . ++$m->{serial});
        $m->{devices}{$id} = { id => $id, user_id => $user->{id}, %$body };
        return $c->render(status => 201, json => { device => $m->{devices}{$id}, session_id => uuid($id), tokens($id) });
    }
    if ($method eq 'PATCH' && $path =~ m{^/v1/devices/(.+)}) {
        my $device = $m->{devices}{$1} or return problem($c, 404, 'not_found', 'No such device.');
        $device->{subnets} = $body->{subnets};
        return $c->render(json => { %$device, warnings => [] });
    }
    if ($method eq 'DELETE' && $path =~ m{^/v1/devices/(.+)}) {
        my $id = $1;
        delete $m->{devices}{$id};
        for my $network (values %{ $m->{networks} }) {
            for my $p (grep { $_->{device_id} eq $id } values %{ $network->{peers} }) {
                delete $network->{peers}{ $p->{id} };
                delta($network, [], [ $p->{id} ]);
            }
        }
        return $c->rendered(204);
    }
    if ($path =~ m{^/v1/invites/(\w+)/accept$}) {
        my ($network) = grep { $_->{code} eq $1 } values %{ $m->{networks} };
        return problem($c, 404, 'not_found', 'No such invite.') if !$network;
        return $c->render(json => { tenant => { id => $network->{tenant_id}, name => 'Friends', slug => 'friends' },
            network => public($network) });
    }
    if ($path eq '/v1/tenants') {
        return $c->render(json => { items => [ { id => uuid('tenant'), name => 'Friends', slug => 'friends' } ], next_cursor => undef });
    }
    if ($path =~ m{^/v1/tenants/[^/]+/networks$}) {
        return $c->render(json => { items => [ map { public($_) } sort { $a->{name} cmp $b->{name} }
            values %{ $m->{networks} } ], next_cursor => undef });
    }
    if ($path =~ m{^/v1/networks/([^/]+)/(\w+)$}) {
        my $network = $m->{networks}{$1} or return problem($c, 404, 'not_found', 'No such network.');
        my $what = $2;
        return $c->render(json => public($network)) if $what eq 'join';
        if ($what eq 'leave') { ctl_kick({ network => $network->{id} }); return $c->rendered(204) }
        return post_peer($c, $network, $who, $body) if $what eq 'peers' && $method eq 'POST';
        if ($what eq 'messages' && $method eq 'POST') {
            return $c->render(status => 201, json => say_chat($network, $body->{content}, 'ada'));
        }
        if ($what eq 'messages') {
            my $after = $c->param('after_seq') // 0;
            return $c->render(json => { items => [ grep { $_->{seq} > $after } @{ $network->{messages} } ], next_cursor => undef });
        }
    }
    return problem($c, 404, 'not_found', "nothing at $method $path");
}

# A device that came by a key or a code, with all networks.
sub enrolled {
    my ($c, $body) = @_;
    my $id = uuid('device ' . ++$m->{serial});
    my $user = { id => uuid('service'), username => 'device-farm' };
    return problem($c, 401, 'invalid_key', 'There is no such enrolment key.')
        if exists $body->{key} && $body->{key} ne 'gce_good';
    $m->{devices}{$id} = { id => $id, user_id => $user->{id}, name => $body->{name},
        platform => $body->{platform}, public_key => $body->{public_key} };
    return $c->render(status => 201, json => { device => $m->{devices}{$id}, user => $user,
        session_id => uuid($id), tokens($id),
        networks => [ map { public($_) } sort { $a->{name} cmp $b->{name} } values %{ $m->{networks} } ] });
}

sub public {
    my ($network) = @_;
    return { (map { $_ => $network->{$_} } qw(id tenant_id name slug description cidr cidr6 visibility
        join_policy required_role mode settings role created_at updated_at)),
        joined => true, peer_count => 0 + keys %{ $network->{peers} } };
}

sub post_peer {
    my ($c, $network, $device, $body) = @_;
    my ($old) = grep { $_->{device_id} eq $device } values %{ $network->{peers} };
    my $peer = peer_object($network, { %{ $old // {} }, device_id => $device, username => 'ada',
        public_key => $body->{public_key}, endpoints => $body->{endpoints} // [],
        endpoint => ($body->{endpoints} // [])->[0] });
    $network->{peers}{ $peer->{id} } = $peer;
    delta($network, [$peer], []);
    for my $s (grep { $_->{device} eq $device } @sockets) {
        self_frame($s) if $s->{topics}{"device:$device"};
    }
    return if $m->{set}{swallow};    # done, and the answer is lost
    return $c->render(status => $old ? 200 : 201, json => { %$peer, network_id => $network->{id} });
}

1;
