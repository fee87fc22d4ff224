"""The words around the keywords: polite ones, little ones, numbers, negations, questions, and how things are said in full.

Everything is folded (no case, no accents) and in no drawer of one language where that does not matter: people mix. A word
that is in none of these sets is a word to search for. The Creole ones wait for native readers like those of `keywords.json`.
"""

from __future__ import annotations

import json
import pathlib
import re
from typing import NamedTuple

from circular.text import NUMBER_WORDS, Pattern
from sms import languages


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


def phrases(text: str) -> str:
    """What stands between bars, as one alternative of a pattern, the longest first."""
    found = {" ".join(phrase.split()) for phrase in text.split("|")}
    return f"(?:{'|'.join(sorted(found, key=lambda phrase: (-len(phrase), phrase)))})"


def valued(by_number: dict[int, str]) -> dict[str, int]:
    """Word -> number."""
    return {word: number for number, text in by_number.items() for word in text.split()}


# --- how people write -------------------------------------------------------------------------------------------------
ABBREVIATIONS = {
    short: full.split()
    for short, full in {
        "jcherche": "je cherche", "jrecherche": "je recherche", "jveux": "je veux", "jveu": "je veux",
        "jvx": "je veux", "jvoudrais": "je voudrais", "jvoudrai": "je voudrais", "jprends": "je prends",
        "jprend": "je prends", "jpeux": "je peux", "jannule": "j annule", "jreserve": "je reserve", "jai": "j ai",
        "jaimerais": "j aimerais", "jdonne": "je donne", "esk": "eske", "dla": "de la", "vs": "vous", "kan": "quand",
        "pr": "pour", "tjs": "toujours", "tjrs": "toujours", "cmb": "combien", "cb": "combien", "cbn": "combien",
        "num": "numero", "nimewo": "numero", "map": "m ap", "im": "i m", "ill": "i ll", "id": "i d", "ive": "i ve",
        "whats": "what s", "sivouple": "svp", "silvouplait": "svp", "0k": "ok", "oki": "ok", "okay": "ok",
        "okey": "ok", "oke": "ok", "ouii": "oui", "mapeler": "m appeler", "mappeler": "m appeler",
        "rapelez": "rappelez", "rapele": "rappelle", "apelez": "appelez", "apele": "appelle",
    }.items()
}  # fmt: skip
POLITE_ANYWHERE = phrases("""
    svp| stp| s il vous plait| s il te plait| sil vous plait| sil te plait| si vous plait| please| pls| plz| pliz|
    souple| tanpri| por favor| por fa| porfa| thx
""")
POLITE = phrases("""
    merci| merci beaucoup| merci bcp| merci d avance| merci quand meme| mercii| mci| mesi| mesi anpil| thanks|
    thank you| thank u| thanks a lot| so much| very much| gracias| muchas gracias| obrigado| obrigada|
    muito obrigado| muito obrigada| bonne journee| bonne soiree| cordialement| a bientot| bisous| bravo| monsieur|
    madame| mr| mme| messieurs| sir| senor| senora| toutes| a tous| tout moun| zanmi| lol| mdr| haha| hein| euh|
    bah| alors| desole| desolee| dsl| sorry| pardon| padon| lo siento| desculpe| excusez moi| excuse moi
""")
# STOP counts with these and no other word.
POLITE_STOP = words("""
    svp stp merci beaucoup s il vous te plait sil please pls plz thanks thank you mesi anpil souple tanpri gracias por favor
    obrigado obrigada bonjour bonsoir bonjou bonswa hello hi hola ola
""")
GREETINGS = phrases("""
    bonjour| bonsoir| salut| bjr| bsr| slt| cc| coucou| bonjou| bonswa| hello| hi| hi there| hey| good morning|
    good afternoon| good evening| hola| buenas| buenos dias| buenas tardes| buenas noches| ola| oi| bom dia|
    boa tarde| boa noite
""")
SMALL_TALK = phrases("""
    ca va| comment ca va| comment allez vous| tu vas bien| vous allez bien| how are you| how are u| que tal|
    como estas| tudo bem| sa ou fe| sak pase| kouman ou ye| koman ou ye| kijan ou ye| ki mannie ou ye|
    ki mannie ou ye jodi
""")
THANKS = words("merci mercii mci mesi thanks thank thx gracias obrigado obrigada")
YES_SIGNS = frozenset("👍👌✅✔🆗")
NO_SIGNS = frozenset("👎❌🚫")

# --- numbers ----------------------------------------------------------------------------------------------------------
ORDINALS = valued({
    1: "premier premiere 1er 1ere premye premie first 1st primero primera primeiro primeira primer",
    2: "deuxieme second seconde 2e 2eme 2ieme dezyem dezieme deziem 2nd segundo segunda",
    3: "troisieme 3e 3eme 3ieme twazyem twazieme twaziem third 3rd tercero tercera terceiro terceira",
})  # fmt: skip
# Units as people write them, and as listings have them; some are no listing's.
UNIT_OF = {
    **{word: word for word in words("m m2 m3 kg t cm mm l g")},
    **dict.fromkeys(words("ml metre metres"), "m"), **dict.fromkeys(words("kilo kilos"), "kg"),
    **dict.fromkeys(words("litre litres"), "l"),
    **dict.fromkeys(words("""
        pc pcs pce pces piece pieces unite unites unit units pieza piezas unidad unidades peca pecas moso
    """), "piece"),
}  # fmt: skip
UNITS = frozenset(UNIT_OF)
TIMES = words("""
    lundi mardi mercredi jeudi vendredi samedi dimanche lun mar mer jeu ven sam dim lendi madi mekredi jedi vandredi
    samdi dimanch monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun lunes martes
    miercoles jueves viernes sabado domingo segunda terca quarta quinta sexta demain matin midi soir apres semaine
    prochain prochaine aujourd hui tomorrow today morning afternoon evening noon next week manana tarde hoy amanha
    manha hoje demen jodi maten aswe janvier fevrier mars avril mai juin juillet aout septembre octobre novembre
    decembre heure heures vers entre h
""")
ARRIVAL = words("passe passerai viens viendrai arrive come coming vini")  # "R 41271 je passe demain"
TIMES |= ARRIVAL

# --- what holds an act back -------------------------------------------------------------------------------------------
NEGATIONS = words("""
    pas ne jamais aucun aucune non sans pa poko not never no nao nunca nem cannot without tampoco nenhum ningun
    jamas stop arret arrete arreter arretez arete sispann kanpe dont doesnt didnt wont cant n plus rien
""")
QUESTIONS = words("""
    combien konbyen konmen cuanto quanto prix price precio preco preso koute kouter coute coutent cuesta custa dispo
    disponible disponibles disponib available disponivel possible possib posible possivel libre libres reste restant
    vendu sold pris taken gone quoi koi kisa ki kijan kouman koman comment how what which where when who why que
    quel quelle quels quelles quand pourquoi poukisa donde cuando cual onde quando qual kote eti oti ola kile
    toujours toujou encore still todavia ainda info infos information informations detail details detalles detalhes
    voir savoir connaitre gratuit gratis free taille size dimension dimensions mesure mesures tamano tamanho couleur
    color cor photo photos adresse etat eske should is are see look gade existe bon bonne about tell parle ye es
    esta
""")
PAST = words("""
    ai avons avez ont est sont ete etait etais avais avait suis deja te was were been cancelled canceled reserved
    already have has had ve ya ja fue foi
""")
CONDITIONS = words("si if ou or oubyen oswa mais but pero sinon sauf peut maybe unless quiza talvez")
# Who asks whether they may: "can I reserve 41271" reserves nothing, and nor does "do you want 41271".
ASKING = Pattern(
    r"\b(?:est ce|eske|es (?:man|ou|zot|nou)|(?:je|j|on) (?:peux|peut|pourrai|pourrais|pourrait)|"
    r"puis je|peut on|tu (?:veux|annules|reserves)|"
    r"vous voulez|ou vle|(?:can|could|may|should|shall) (?:i|we)|(?:is|are|does|do|did) (?:it|there|the|you|this|that|we|i)|"
    r"(?:is|are) \d+|you want|man pe|"
    r"m (?:ka|kapab|kab)|mwen (?:ka|kapab|kab)|puedo|podemos|se puede|posso|poderia|da para|y a t il|"
    r"comment|how|kouman|kijan|como|what|quoi|koi|kisa|combien|pourquoi|poukisa|why)\b"
)
# After `R 41271` one or two words more may be somebody's name, but not these.
DOUBTS = words("""
    erreur error faux fausse trop cher chere mistake wrong bug marche tout totalite all todo tudo dizaine douzaine quinzaine
    vingtaine trentaine cinquantaine centaine dozen dozens docena duzia decena dezena rouge rouges bleu bleue bleus verte
    verts noir noire jaune gris grise red blue green black white yellow grey rojo azul verde negro blanco vermelho preto
    branco
""")

# --- what may stand around a command ----------------------------------------------------------------------------------
FILLERS = words("""
    je j tu vous nous moi me m mon ma le la l les lui du de des d un une en au aux pour numero annonce code ref
    article veux veut voudrais souhaite souhaiterais souhaiterai aimerais aimerai desire desirerais vouloir bien
    donc cote fois x ici ca cela celui celle qui s pouvez pourriez peux pourrais voulez venir prendre besoin suite
    demande faire fait vais va allez dois on ok oui alors quantite qte qty maintenant urgent asap avoir ce cet cette
    ces et i we my it the an of for to would like want wanna need must d ll this that one ones number item can could
    you aside up them away now u us book yo lo el los las del por para pra vou ficar pode puedes una quiero quisiera
    necesito deseo debo gustaria anuncio codigo mi eu o os as do da dos das uma mim com quero queria gostaria
    preciso devo meu minha mwen man lan an nan yon ke pou ba ban bay vle ap ka ta renmen dwe ou nou zot asou sou
    kote kod pe li sa bezwen bizwen lot a
""")
GOODS = words("""
    bois planche planches poutre poutres chevron chevrons palette palettes tole toles tuile tuiles brique briques
    parpaing parpaings porte portes fenetre fenetres carrelage carreaux peinture ciment sable evier lavabo lit lits
    chaise chaises table tables sapin blanc blanche sac sacs bwa planch tol lapot pot finet fenet brik kawo kabann
    chez siman sab wood planks boards door doors window windows tiles bricks sheets paint chairs madera tablas
    puerta puertas ventana tejas ladrillos sillas madeira tabuas porta portas telhas tijolos cadeiras
""")
FOR = words("pour for para pou ba")  # before somebody: "R 41271 pour maman"
RESERVATIONS = words("""
    reservation reservations resa resas rezevasion rezevasyon booking bookings reserva reservas order commande
    commandes komand pedido hold reserve rdv
""")
OWNERS = words("ma mes mon ta votre my your mi mis su minha minhas meu mwen")
ARTICLES_ONE = words("un une una uma yon an")
ARTICLES = words("the a la un une el una this your o uma")
# Nouns as well as verbs: `the book`, `mi reserva`.
NOUNS_TOO = words("book hold resa reserva")
CODES = words("code kod codigo numero pin retrait pickup")
IT = words("la le l ca cela it this that one lo li sa celui tout toutes tous everything all todo tudo them")
EVERY = words("les los os tous toutes both")  # before a number: not a line, all of them

# --- verbs, beside the keywords ---------------------------------------------------------------------------------------
RESERVE = words("""
    r res resa rsv resv reserve reserver reservez reserves reservons reserv reserva reservar reservame reservo
    reservem reserven rezeve rezerve rezerver rezev rezerv tjenbe kenbe book hold
""")
# Said of many things: they reserve only what has a number, and only when every other word is little.
TAKE = words("""
    prends prend prendre prendrai prenez pran take keep save put mets met mettez mettre garde gardez garder gardes
    mete sere serre veux voudrais vle want wanna quiero quisiera quero queria llevo llevar guarda guardar guardame
    guarde aparta apartar apartame separa separar fico ficar pego
""")
TAKE_IT = words("prends prend pran take llevo fico")  # of TAKE: enough by themselves, or with "it"
NEED = words(
    "besoin bezwen bizwen bouzwen need necesito preciso like aimerais donne donnez dame deme ba ban give get"
)  # so many
CANCEL = words("""
    annule annuler annulez annules annulation anule anuler anulez annuller annulle annul anile annile anilez cancel
    cancela cancelar cancelo cancele cancelen cancelem desmarcar desmarca anula anular anulo anule undo
""")
# Of a reservation these mean cancel.
DELETE = words(
    "supprime supprimer supprimez enleve enlever remove delete borrar borra apagar apaga efface effacer efase"
)
STOP = words("arretez desabonnez desabonnement desinscription desinscrire")
YES = words("ouais yeah yep yup sure dac dacc dakor daccord claro vale bueno volontiers affirmatif exact")
YES_PHRASES = phrases("""
    d accord| bien sur| bien entendu| si quiero| si claro| si acepto| claro que si| c est ca| pode ser| c est bon|
    c bon| je veux bien| por supuesto| of course| pa ni pwoblem
""")
AROUND_YES = FILLERS | words(
    "accord sur est bon c tout a fait is that oui yes supuesto do go ahead sim confirme confirm confirmo marche acepto"
)
NO = words("nan nope nah nop negatif")
NO_PHRASES = phrases("""
    pas maintenant| not now| je veux pas| je ne veux pas| pas besoin| laisse tomber| laissez tomber| no quiero|
    nao quero| mwen pa vle| m pa vle| man pa le| i do not want| i do not want it| i dont want it| no need| ahora no|
    agora nao| pas la peine| ca ira
""")
NOT_NO = words("problem se sabe sei idea stop")  # "no problem", "no sé"
NOTED = words("super parfait cool genial top nickel impec great perfect perfecto otimo recu note noted")
WAIT = words("waiting")
PAUSE = words("pause pauser pausa pausar suspend suspends suspendre suspender")
AROUND_WAIT = FILLERS | words(
    "liste list lista put file queue inscris inscrire inscrivez ajoutez add etre mettez mettre mets met"
)
EXTEND = words("prolongez prolonga pwolonje extension prolongation")

# --- what a command is about ------------------------------------------------------------------------------------------
ABOUT = words("avec with con com avek epi ak pour for para pou de du des d la le les en of a an the un une do da et")
BEFORE_NOUNS = FILLERS - {"book"} | words("""
    mes mis minhas meus quelles quels quelle quel which what quoi creer cree mettez mettre ajouter ajoute set send
    create activer avez est que quais
""")
MACHINES = words("creneaux ateliers rooms workshops talleres salas latilye atelye maquinas")
ROOMS = words("salle salles room rooms sala salas lasal sal oficina equipo equipamento book")
HOUSEHOLD = words("laver sechoir cafe glacons bain bains eau bano bath banho jantar manger comedor divider sous")
USE = words("louer rent alquilar alugar lwe use utiliser")
GIVE = words("dons donation donner donate offrir offre regalar regalo dou giving oferecer")
# donne-moi, give back
NOT_GIVEN = words("moi nous m mwen nou me us mi lui leur him her them t know think want mind back")
HAS_TO_GIVE = Pattern(
    r"^(?:(?:j|je|i|mwen|m|man|yo|eu|nou|on|nous|we)? ?(?:ai|a|g|have|got|gen|ni|tengo|tenho|avons|ve) )?(.*?) ?"
    r"(?:a donner?|pou (?:m |mwen )?bay|pou ba|to give(?: away)?|to donate|para (?:donar|doar|dar|regalar)|a doar)$"
)
ALERT = words("alertez alertas avise")
TELL_ME = Pattern(
    r"^(?:(?:pouvez vous|peux tu|can you|could you|je voudrais|i want you to|vous pouvez) )?(?:me |m )?"
    r"(?:preveni\w*|previens|prevenez|prevenir|averti\w*|avise\w*|avisa\w*|aveti|notify|alert\w*|tell|text|dis|dites|di|"
    r"ecrivez|envoyez|informez|fe (?:m|mwen|nou) (?:konnen|sav)|let (?:me|us) know)(?: (?:moi|me|m|mwen|nou|nous|us))*"
    r"(?: (?:un sms|an sms))? (?:quand|lorsque|des que|des qu il|des qu|s il|si|pour|when\w*|if|as soon as|once|for|about|of|"
    r"cuando|se|quando|le|lo)\b (.+)$"
)
_BUILDING = "faire|fabriquer|construire|realiser|fe|bati|build|make|do|hacer|construir|fazer"
BUILD = Pattern(
    rf"^(?:o )?(?:que|quoi|koi|qu|what|kisa|ki|sa|como|comment|how)\b.*\b(?:{_BUILDING})\b.*?\b"
    r"(?:avec|with|con|com|epi|ak|out of)\b (.+)$|"
    rf"^(?:comment|how to|how do i|how can i|kouman|kijan|como) (?:{_BUILDING}) (?:un|une|a|an|uma|yon|una) (.+)$"
)
# "je cherche du bois", "man ka chache bwa", "m ap cheche brik", "do you have any": what leads to the thing.
LEAD_IN = words("""
    je j ai tu il elle on nous vous me moi m veux voudrais veut aimerais souhaite cherche chercher recherche
    recherchons cherchons besoin faut d de du des un une le la les l au aux y a t en est ce que qu auriez avez aurez
    avoir ya reste restent s trouve trouver donne donnez ou suis etes vend vendez proposez dites ici pas par bien
    plus et encore louer utiliser emprunter man mwen ka ap chache cheche jwenn touve bezwen bizwen bouzwen vle gen
    genyen ni zot nou es ki an yon ban bay ba kote ta renmen kab kapab eske pa i we need want looking lookin look
    for an the some any do does u you have got is there are give get find buy would like to can help am where more
    and still rent borrow use yo busco buscando buscar busca quiero quisiera necesito hay tienen tienes tiene estoy
    deme una unos unas el los las hace falta algun alguna haya eu procuro procurando procura quero queria preciso
    tem tenho ha voces voce estou gostaria os as do da uma uns umas o tiver oui non no ok yes wi prix combien coute
    price how much cost cuanto cuesta precio quanto custa preco konbyen konmen koute autre autres other otra otras
    outra outras eti pe trape gustaria donde onde consigo puedo posso encontrar conseguir encontro
""")
TRAILING = words("""
    dispo dispos disponible disponibles disponib available disponivel disponiveis left stock jodi par hasard vous en
    avez auriez aujourd hui toujours toujou there u got now maintenant urgent vite
""")
FOR_ME = re.compile(r" (?:pour|for|para|pou|ba|ban|bay) (?:moi|nous|me|us|mi|mim|mwen|nou|m)$")

# --- languages by name, in the order of the menu ----------------------------------------------------------------------
NAMES = valued({
    1: "francais francaise french frances fr franse", 2: "kreyol creole kreol matnik matinik martiniquais martinican gcf",
    3: "ayisyen aysyen haitien haitian haiti haitiano ayiti ht", 4: "anglais anglaise english ingles angle en",
    5: "espagnol espanol spanish espanhol castellano panyol es", 6: "portugais portugues portuguese potige pt",
})  # fmt: skip
SHORT_NAMES = words("fr gcf ht en es pt angle")  # words of other things too
SPEAK = words("parle parlez parler pale speak understand konprann comprends habla hablas hablo fala falo entiendo")
AROUND_NAMES = (
    FILLERS
    | SPEAK
    | words("""
    change changer switch cambiar mudar langue lang language idioma lengua lingua in em na do voce eske est que passer
    repondez answer
""")
)


# --- things said in full ----------------------------------------------------------------------------------------------
class Saying(NamedTuple):
    """An intent said in full: one word of each of `need`, and no word but those, those of `may` and little ones.

    The vocabulary is closed, so that a word that nobody foresaw makes a search of it, never the intent.
    """

    intent: str
    need: tuple[frozenset[str], ...]
    may: frozenset[str]
    needed: frozenset[str]  # all of `need`


_SETS = {
    "CODES": CODES - {"numero"},
    "NUMBERS": frozenset(NUMBER_WORDS),
    "RESERVATIONS": RESERVATIONS,
    "STOPS": words(
        "stop arret arrete arreter arretez arete sispann kanpe parar para basta unsubscribe cancel quit desabonner desabonnez"
    ),
    "TIMES": TIMES,
}
_LITTLE = FILLERS.union(*(words(text) for text in languages.LITTLE.values()))


def _named(text: str) -> frozenset[str]:
    """Words, and the sets that stand in capitals among them."""
    return frozenset().union(*(_SETS.get(word, {word}) for word in text.split()))


def _saying(intent: str, need: list[str], may: str = "") -> Saying:
    required = tuple(map(_named, need))
    return Saying(intent, required, _LITTLE.union(_named(may), *required), frozenset().union(*required))


# In the order of the file: the first that fits decides.
SAYINGS = tuple(
    _saying(**row) for row in json.loads(pathlib.Path(__file__).with_name("sayings.json").read_text("utf-8"))
)
