# The names of all peers, as this machine's programs find them: by the C
# library's module, and by lines in /etc/hosts.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use Test::More;

my ($lab, $plane, $a) = lab_with_agent(login => 1);
my $host = $a->host;

# A folder /etc of this host's own.
my $etc = $host->home . '/etc';
$host->must('sh', '-c', "cp -a /etc $etc && printf 'hosts: files dns\\n' > $etc/nsswitch.conf && "
    . "printf '127.0.0.1 localhost\\n' > $etc/hosts && rm -f $etc/resolv.conf && "
    # a name server that refuses at once
    . "echo nameserver 127.0.0.1 > $etc/resolv.conf && mount --bind $etc /etc");

# What getent says of a name or an address: the lines, blanks squeezed.
sub getent {
    my (@what) = @_;
    my (undef, $said) = $host->run('env', "LD_LIBRARY_PATH=$BUILD", 'getent', @what);
    return join '; ', map { s/\s+/ /gr =~ s/ $//r } split /\n/, $said;
}

sub file { scalar $host->must('cat', $_[0]) }

my $lan = $plane->network('Lan', { cidr6 => 'fd00:77::/64' });
my $bob = $plane->add_peer($lan, { public_key => key(1), name => 'bob-desk', ip6_address => 'fd00:77::2' });
$a->must('join', $lan->{link});
my $full = 'bob-desk.lan.friends.gc';

subtest 'names for who asks' => sub {
    my $names = $a->json('names');
    is $names->{mode}, 'auto', 'as the settings say';
    is_deeply [ map { $_ ? 1 : 0 } @$names{qw(resolved nss hosts)} ], [ 0, 0, 0 ], 'nobody is told yet';
    like $names->{error}, qr/goconnect names install/, '... and what to do is said';
    my ($peer) = grep { $_->{name} eq $full } @{ $names->{names} };
    is_deeply $peer, { name => $full, short => [ 'bob-desk.lan', 'bob-desk' ], network_id => $lan->{id},
        ip_address => '10.77.1.2', ip6_address => 'fd00:77::2', self => $peer->{self} }, 'a peer';
    is scalar(grep { $_->{self} } @{ $names->{names} }), 1, 'this device has a name too';
    like $a->must('names'), qr/^\Q$full\E, bob-desk\.lan, bob-desk\n  10\.77\.1\.2, fd00:77::2$/m, 'for people';
    is getent('hosts', $full), '', 'no program finds them';
};

subtest 'goconnect names install' => sub {
    like $a->must('names', 'install'), qr/names goconnect now/, 'it says what it did';
    is file('/etc/nsswitch.conf'), "hosts: files goconnect dns\n", 'the module is asked before others';
    like $a->must('names', 'install'), qr/already/, 'once more changes nothing';
    is file('/etc/nsswitch.conf'), "hosts: files goconnect dns\n", '... really';
    my $names = $a->json('names');
    ok $names->{nss}, 'the daemon knows';
    is $names->{error}, undef, '... and has nothing to say';
    my ($status, $said) = $a->cli('names', 'everything');
    is $status, 2, 'what it does not know is wrong usage';
    like $said, qr/usage: goconnect names/, '... and said';
};

subtest 'the C library' => sub {
    is getent('ahostsv4', $_), "10.77.1.2 STREAM $full; 10.77.1.2 DGRAM; 10.77.1.2 RAW", $_
        for $full, 'bob-desk.lan', 'bob-desk', 'BOB-Desk.Lan.Friends.GC', "$full.";
    is getent('ahostsv6', $full), "fd00:77::2 STREAM $full; fd00:77::2 DGRAM; fd00:77::2 RAW", 'IPv6';
    is getent('hosts', 'fd00:77::2'), "fd00:77::2 $full", 'reverse, IPv6';
    is getent('hosts', '10.77.1.2'), "10.77.1.2 $full", 'reverse, IPv4';
    is getent('hosts', $full), "fd00:77::2 $full", 'gethostbyname2';
    is getent('hosts', $_), '', "no $_" for 'bob', 'desk.lan', 'lan.friends.gc', '10.77.1.99', 'bob-desk.lan.friends';
    is getent('hosts', 'localhost'), '127.0.0.1 localhost', 'what others know is theirs';
    is $host->must('stat', '-c', '%a %U', '/run/goconnect/names'), "644 root\n", 'everybody may read the table';
};

subtest 'as peers come, go and are renamed' => sub {
    my $carl = $plane->add_peer($lan, { public_key => key(2), name => 'carl' });
    ok until_true(sub { getent('hosts', 'carl') =~ /^\S+ carl\.lan\.friends\.gc$/ }), 'a new one';
    $plane->add_peer($lan, { %$carl, name => 'carla' });
    ok until_true(sub { getent('hosts', 'carla.lan') ne '' && getent('hosts', 'carl.lan') eq '' }), 'a new name';
    $plane->remove_peer($lan, $carl->{id});
    ok until_true(sub { getent('hosts', 'carla') eq '' }), 'one that left has no name';
};

subtest 'two networks' => sub {
    my $fun = $plane->network('Fun-2', { domain => 'fun-2.friends.gc' });
    $plane->add_peer($fun, { public_key => key(3), name => 'bob-desk' });
    $plane->add_peer($fun, { public_key => key(4), name => 'dora' });
    $a->must('join', $fun->{link});
    ok until_true(sub { getent('hosts', 'dora') =~ / dora\.fun-2\.friends\.gc$/ }), 'both have names';
    is getent('hosts', 'bob-desk'), '', 'a short form that could mean two is none';
    like getent('ahostsv4', 'bob-desk.lan'), qr/^10\.77\.1\.2 /, '... the one with the network is';
    like getent('ahostsv4', 'bob-desk.fun-2'), qr/^10\.77\.2\.2 /, '... in either';
    $a->must('down', 'fun-2');
    is getent('hosts', 'dora'), '', 'a network that is down has none';
    like getent('ahostsv4', 'bob-desk'), qr/^10\.77\.1\.2 /, '... and the short form is there again';
    $a->must('leave', 'fun-2');
};

subtest 'without goconnectd' => sub {
    $a->stop('KILL');
    is getent('hosts', $full), "fd00:77::2 $full", 'killed: the names are there, like the tunnels';
    $host->must('chmod', '666', '/run/goconnect/names');
    is getent('hosts', $full), '', 'a table that anybody could have written is not believed';
    $host->must('sh', '-c', 'head -c 4096 /dev/urandom > /run/goconnect/names; chmod 644 /run/goconnect/names');
    is getent('hosts', $full), '', 'nonsense in it: nothing is found';
    is getent('hosts', 'localhost'), '127.0.0.1 localhost', '... and nobody falls over it';
    $a->daemon;
    ok until_true(sub { getent('hosts', $full) eq "fd00:77::2 $full" }), 'the next start writes it anew';
    like $a->must('names', 'remove'), qr/does not name goconnect now/, 'goconnect names remove';
    is file('/etc/nsswitch.conf'), "hosts: files dns\n", '... leaves the file as it was';
};

subtest 'lines in /etc/hosts' => sub {
    $a->stop;
    push @{ $a->{args} }, '--names', 'hosts';
    $a->daemon;
    ok until_true(sub { file('/etc/hosts') =~ /^10\.77\.1\.2 \Q$full\E bob-desk\.lan bob-desk$/m }), 'are written';
    like file('/etc/hosts'), qr/\A127\.0\.0\.1 localhost\n# goconnect begin/, '... behind what is there';
    is getent('hosts', '10.77.1.2'), "10.77.1.2 $full bob-desk.lan bob-desk", '... and found';
    ok $a->json('names')->{hosts}, 'names says so';
    $plane->add_peer($lan, { public_key => key(5), name => 'eve' });
    ok until_true(sub { file('/etc/hosts') =~ / eve\.lan\.friends\.gc / }), 'they follow';
    is scalar(() = file('/etc/hosts') =~ /# goconnect begin/g), 1, '... in one place';
    $a->must('down');
    is file('/etc/hosts'), "127.0.0.1 localhost\n", 'down removes them';
    $a->must('up');
    like file('/etc/hosts'), qr/ eve$/m, 'up brings them back';
    $a->stop('KILL');
    $a->{args}[-1] = 'off';
    $a->daemon;
    is file('/etc/hosts'), "127.0.0.1 localhost\n", 'another setting removes what a killed one left';
    is +($host->run('test', '-e', '/run/goconnect/names'))[0], 1, 'off: there is no table';
    is $a->json('names')->{mode}, 'off', '... and names says so';
};

$a->must('logout');
is $a->stop, 0, 'goconnectd ends with 0';
unlike $a->log, qr/Sanitizer/, 'no sanitizer has complained';

done_testing;
