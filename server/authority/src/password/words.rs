//! Words that people use in passwords, collected for Tessera. [`super::fold`] and [`super::guess`]
//! handle spellings with digits and symbols (`p4ssw0rd`) and endings.

/// Words in lower case, separated by whitespace.
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
thequickbrownfox quickbrownfox jumpsoverthelazydog lazydog tobeornottobe maytheforcebewithyou opensesame
abracadabra hocuspocus loremipsum dolorsitamet onceuponatime twinkletwinkle
strong verystrong authority authentication authorization credential credentials api apikey bearer
passwords passwort passwörter kennwort losung losungswort schlüssel schluessel parole mdp secretcode
contraseña contraseñas clave clavesecreta palabraclave palavrapasse palavrachave senha parola parolachiave
parolad'ordine parolasegreta wachtwoord hasło heslo geslo zaporka lozinka lösenord adgangskode kodeord passord
salasana jelszó şifre sifrem kennwoord пароль пароли логин секрет parol κωδικός συνθηματικό סיסמה كلمةالسر
كلمةالمرور パスワード パスワート ひみつ 密码 密碼 暗証番号 비밀번호 암호 รหัสผ่าน mậtkhẩu matkhau katasandi mima pasuwado
administrateur administrador administradora amministratore verwalter systemverwalter verwaltung beheerder
administratör järjestelmänvalvoja ylläpitäjä rendszergazda správce správca yönetici skrbnik upravitelj
администратор админ адміністратор суперпользователь διαχειριστής מנהל مدير 管理员 管理員 管理者 관리자 benutzer
benutzername utilisateur usuario utente gebruiker käyttäjä użytkownik пользователь привет приветмир любовь
любимая солнышко наташа яхочу янезнаю россия москва україна київ bemvindo benvenuto benvenuti welkom
välkommen velkommen tervetuloa witamy vítejte hoşgeldiniz добропожаловать geheimnis topsecret streggeheim
teamoporsiempre teamomucho tequiero jetaime jetadore tiamo mahal ilovemyself iloveme iloveu imissyou
lordoftherings gameofthrones harrypotter hermione hermionegranger dumbledore hogwarts gryffindor voldemort
frodobaggins gandalf youshallnotpass legolas aragorn mordor darthvader lukeskywalker skywalker chewbacca
iamyourfather maytheforce winteriscoming valarmorghulis hodor sherlock sherlockholmes jamesbond indianajones
backtothefuture jurassicpark thematrix thereisnospoon followthewhiterabbit ironman iamironman captainamerica
wolverine deadpool avengers iamgroot toinfinityandbeyond hakunamatata letitgo mickeymouse donaldduck
winniethepooh spongebob scoobydoo simpsons homersimpson southpark breakingbad strangerthings supercali
supercalifragilistic supercalifragilisticexpialidocious antidisestablishmentarianism bohemianrhapsody
stairwaytoheaven hotelcalifornia smellsliketeenspirit wonderwall letitbe heyjude yellowsubmarine
wearethechampions wewillrockyou nevergonnagiveyouup rickastley imagine ledzeppelin pinkfloyd rollingstones
acdc ironmaiden linkinpark greenday rammstein romeoandjuliet tobeornot shakespeare allthatglitters
rosesarered violetsareblue maryhadalittlelamb humptydumpty itsybitsyspider oldmacdonald happybirthday
merrychristmas happynewyear carpediem memento mementomori cogitoergosum veniredivici venividivici
justdoit livelaughlove keepcalm keepcalmandcarryon dontpanic hitchhiker solongandthanksforallthefish
livelongandprosper beammeupscotty allyourbasearebelongtous tothemoon bitcoin blockchain cryptocurrency
ethereum donottell donttellanyone pleaseletmein openthedoor letmeinplease nopassword mypassword newpassword
oldpassword yourpassword passwordispassword thepassword forgot forgotten iforgot iforgotmypassword
rememberme remember longpassword longenough fifteencharacters fifteen characters trustnoone incorrect
qwertz azerty asdf zxcv qazwsx abcabc abc xyz foobar foobaz foobarbaz helloagain hallowelt bonjourlemonde
holamundo ciaomondo schatz schatzi liebling mausi hasi fcbayern borussia schalke realmadrid manutd
manchesterunited chelseafc forzainter forzajuve forzamilan galatasaray fenerbahce besiktas ajax feyenoord
boca riverplate flamengo corinthians palmeiras hunter princesa princesse prinzessin estrella mariposa soleil
chocolat doudou marseille loulou kiki tigger snoopy garfield
";

/// Words of well-known phrases, in any order.
pub(super) const PHRASE: &str = "
correct battery staple horse quick brown fox jumps lazy dog lorem ipsum dolor amet twinkle little star
";

/// Short function words.
pub(super) const SHORT: &str = "
the and for you your this that with from have will not are was our its is my to of in on at be we me
so no go do it all new old can get one two three four five six seven eight nine ten more very good
best last first now here team work home life time day year man girl boy
";

/// Rows of keyboards, to find walks along them in either direction.
pub(super) const WALKS: [&str; 28] = [
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
    "0okm9ijn8uhb7ygv6tfc5rdx4esz3wa2q",
    "1q2w3e4r5t6y7u8i9o0p",
    "!@#$%^&*()",
    "!\"§$%&/()=",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "1234567890-=",
    "йцукенгшщзхъ",
    "фывапролджэ",
    "ячсмитьбю",
    "йфяцычувскамепинртгоьшлбщдюзжхэъ",
    "йцукенгшщзхї",
    "фівапролджє",
    "ςερτυθιοπ",
    "ασδφγηξκλ",
    "ζχψωβνμ",
];

/// Well-known sequences of digits.
pub(super) const DIGITS: [&str; 12] = [
    "3141592653589793238462643383279502884197169399375105820974944592307816406286208998628034825342117067",
    "2718281828459045235360287471352662497757247093699959574966967627724076630353547594571382178525166427",
    "1618033988749894848204586834365638117720309179805762862135448622705260462818902449707207204189391137",
    "1123581321345589144233377610987159725844181676510946",
    "2357111317192329313741434753596167717379838997101",
    "1248163264128256512102420484096819216384",
    "149162536496481100121144169196225256",
    "127001",
    "1921681",
    "1921680",
    "2552552552550",
    "159753",
];
