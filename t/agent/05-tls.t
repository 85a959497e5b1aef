# TLS: verified by default, --ca for one's own authority, never silently less.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use GoConnect::Lab;
use Plane;
use Test::More;

my ($lab, $unused, $a) = lab_with_agent(no_daemon => 1);
my $dir = $lab->dir;
my $server = $GoConnect::Lab::SERVER;

sub openssl { system("cd $dir && openssl @_ >openssl.log 2>&1") == 0 or die "openssl @_" }

# A certificate of an authority: files NAME.crt and NAME.key.
sub certificate {
    my ($name, $ca, $san, $days) = @_;
    openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$name -keyout $name.key -out $name.csr");
    open my $fh, '>', "$dir/$name.ext" or die $!;
    print $fh "subjectAltName=$san\n";
    close $fh;
    openssl("x509 -req -in $name.csr -CA $ca.crt -CAkey $ca.key -CAcreateserial -days $days -extfile $name.ext -out $name.crt");
    return (cert => "$dir/$name.crt", key => "$dir/$name.key");
}

for my $ca ('ca', 'otherca') {
    openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=$ca "
        . "-addext basicConstraints=critical,CA:TRUE -keyout $ca.key -out $ca.crt");
}
$a->host->must('sh', '-c', "cp /etc/hosts /run/hosts && echo '$server gc.test other.test' >> /run/hosts && "
    . 'mount --bind /run/hosts /etc/hosts');

my $plane = Plane->start(address => $server, name => 'gc.test',
    certificate('gc.test', 'ca', "DNS:gc.test,IP:$server", 2));
my @login = grep { $_ ne '--insecure' } @{ $a->login_options };
my $lan = $plane->network('Lan');
$a->{args} = [];

sub login { $a->cli('login', $_[0], @login, @_[1 .. $#_]) }

subtest 'the command line' => sub {
    my ($status, $said) = login($plane->url);
    is $status, 6, 'an authority that the system does not know';
    like $said, qr/no trusted TLS connection to https:\/\/gc\.test/, '... is said';
    ($status, $said) = login($plane->url, '--insecure');
    is $status, 6, '--insecure is about plain http: it trusts nobody more';
    ($status, $said) = login($plane->url, '--ca', "$dir/otherca.crt");
    is $status, 6, 'another authority';
    ($status, $said) = login("https://other.test:$plane->{port}", '--ca', "$dir/ca.crt");
    is $status, 6, 'another name than the certificate\'s';
    ($status, $said) = login($plane->url, '--ca', "$dir/nothing");
    is $status, 2, 'no such file';
    ($status, $said) = login($plane->url, '--ca', '/etc/hostname');
    isnt $status, 0, 'a file without certificates';
    ($status, $said) = login("https://$server:$plane->{port}", '--ca', "$dir/ca.crt");
    is $status, 0, 'by its address, which the certificate names' or diag $said;
    ($status, $said) = login($plane->url, '--ca', "$dir/ca.crt");
    is $status, 0, 'by its name' or diag $said;
    is(($a->cli('networks'))[0], 0, 'the session remembers whom to trust');
};

subtest 'an old certificate' => sub {
    my $old = Plane->start(address => $server, name => 'gc.test',
        certificate('old', 'ca', 'DNS:gc.test', -1));
    my ($status, $said) = login($old->url, '--ca', "$dir/ca.crt");
    is $status, 6, 'has expired';
};

subtest 'plain http on the port of https, and the other way round' => sub {
    my ($status, $said) = login("https://gc.test:$unused->{port}", '--ca', "$dir/ca.crt");
    is $status, 6, 'no TLS there';
    ($status, $said) = login("http://gc.test:$plane->{port}", '--insecure');
    isnt $status, 0, 'no plain http there';
};

subtest 'goconnectd' => sub {
    $a->daemon;
    my ($status, $said) = login($plane->url, '--ca', "$dir/ca.crt");
    is $status, 0, 'log in';
    ok until_true(sub { ($a->json('status')->{error} // '') =~ /no trusted TLS/ }),
        'without --ca it does not trust the server, and says so';
    ok !(grep { $_ eq 'WS /v1/ws' } $plane->requests), '... and has told it nothing';
    $a->stop;
    $a->{args} = [ '--ca', "$dir/ca.crt" ];
    $a->daemon;
    ok until_true(sub { $a->control eq 'connected' }), 'with --ca it does';
    $a->must('join', $lan->{link});
    $plane->add_peer($lan, { public_key => key(1) });
    ok until_true(sub { exists $a->wg('gc-lan')->{peers}{ key(1) } }), 'and follows the network over wss';
    my ($rss) = $a->host->must('sh', '-c', 'cat /proc/$(pidof goconnectd)/status') =~ /VmRSS:\s+(\d+)/;
    note "goconnectd over TLS in one network: $rss KiB resident";
    cmp_ok $rss, '<', 40_000, 'in little memory' if $BUILD !~ /san/;
};

subtest 'goconnectd refuses plain http' => sub {
    $a->must('logout');
    my ($status, $said) = login($unused->url, '--insecure');
    is $status, 0, 'the command line may, when told so';
    like $said, qr/not enrolled yet: .*not encrypted/, '... but goconnectd was not';
    is $a->control, 'logged_out', 'and so it is not enrolled';
    ($status, $said) = $a->cli('join', 'x', '--insecure');
    is $status, 2, 'join says so too';
};

$a->stop;
unlike $a->log, qr/Sanitizer/, 'no sanitizer has complained';

done_testing;
