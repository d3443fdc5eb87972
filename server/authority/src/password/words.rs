//! Words that people put into passwords. Collected for Tessera; spellings with digits and symbols
//! (`p4ssw0rd`) and endings are handled by [`super::rule`].

/// Words, separated by white space, in lower case.
pub(super) const COMMON: &str = "
password passwort passwd passphrase passcode motdepasse contrasena senha parola wachtwoord haslo
welcome willkommen bienvenue bienvenido letmein changeme changeit changethis default secret secrets
geheim login logon signin master admin administrator root superuser supervisor sysadmin system
user username guest test tester testing demo example sample temp temporary public private access
account backup server database postgres oracle cisco router network internet computer laptop windows
linux ubuntu debian apple google amazon facebook twitter instagram microsoft android samsung iphone
netflix youtube spotify github gitlab docker kubernetes production staging develop developer service
support helpdesk office manager company business security secure safety firewall token tokens
monkey dragon tiger lion eagle falcon phoenix panther bear wolf shark dolphin horse puppy kitten
kitty doggy buster bailey charlie rocky lucky lucy molly maggie daisy ginger pepper cookie banana
orange apple cherry peach lemon strawberry chocolate coffee cheese pizza burger bacon pumpkin
sunshine rainbow moonlight starlight summer winter autumn spring january february march april june
july august september october november december monday tuesday wednesday thursday friday saturday
sunday football fussball baseball basketball soccer hockey tennis golf cricket rugby running cycling
liverpool arsenal chelsea barcelona juventus bayern dortmund madrid manchester united yankees lakers
cowboys steelers packers patriots redsox london paris berlin munich vienna zurich madrid rome milan
moscow tokyo boston dallas austin chicago newyork california texas florida arizona america germany
deutschland england scotland ireland france espana italia russia canada mexico brazil australia
michael michelle matthew andrew anthony ashley amanda jessica jennifer jordan joshua daniel david
robert thomas william richard charles joseph george james john peter paul mark steven kevin brian
justin brandon nicole samantha elizabeth victoria hannah sarah laura andrea maria anna julia sophie
alexander alexandra benjamin christian christopher nicholas jonathan patrick stefan markus sebastian
superman batman spiderman starwars startrek pokemon pikachu naruto minecraft fortnite nintendo
playstation xbox hello helloworld hallo bonjour freedom liberty forever princess prince queen king
angel angels heaven jesus christ blessed church faith hope love lover lovely loveyou iloveyou
teamo ichliebedich sweetheart darling honey baby babygirl babyboy family mother father sister brother
daddy mommy friend friends happy smile beautiful awesome amazing fantastic wonderful nothing whatever
trustno trust noone nobody somebody anything everything something money dollar millionaire gold golden
silver diamond platinum purple yellow orange green black white blue pink crimson shadow hunter ranger
killer ninja samurai pirate knight wizard warrior soldier player gamer gaming winner champion legend
hacker matrix cyber internet mustang corvette ferrari porsche mercedes harley yamaha honda toyota
guitar music metallica nirvana beatles slipknot blink eminem rockstar dance disco party vegas
please thankyou goodbye morning evening tonight tomorrow yesterday today always never maybe
fuckyou fuckoff fuck bitch asshole bullshit sexy naked hottie butthead
correcthorsebatterystaple correcthorsebattery correcthorse batterystaple thequickbrownfox
quickbrownfox jumpsoverthelazydog lazydog tobeornottobe maytheforcebewithyou opensesame
abracadabra hocuspocus loremipsum dolorsitamet onceuponatime twinkletwinkle
";

/// Short words that hold others together.
pub(super) const SHORT: &str = "
the and for you your this that with from have will not are was our its is my to of in on at be we me
so no go do it all new old can get one two three four five six seven eight nine ten more very good
best last first now here team work home life time day year man girl boy
";

/// Rows of keyboards, to find walks along them in either direction.
pub(super) const WALKS: [&str; 13] = [
    "1234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "qazwsxedcrfvtgbyhnujmikolp",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
    "!@#$%^&*()",
];
