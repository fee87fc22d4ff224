"""Which language words show: little words and the names of common things, counted.

Libraries know neither Creole (langdetect finds Indonesian or Tagalog in Haitian SMS, lingua Yoruba in Martinican ones;
design/domain.md), so this counts words of short lists. A word of several languages votes for each of them, so that it
decides nothing between them; what ties shows nothing, and the person's language stays.

Sources of the Creole words: the vocabulary checked for design/domain.md (Confiant's dictionary, bilingual SMS of Mission
4636). No native reader has checked the lists. Tests: the corpus of `fixtures/understanding`.
"""

from __future__ import annotations

from collections.abc import Sequence

from circular.settings import LANGUAGES

# Folded: no case, no accents. Words that name nothing…
LITTLE = {
    "fr": """
        a ai as au aussi aux avec avez avoir ayez bien c ca ce cela celle celui ces cet cette chez comment d dans de
        deja des du elle en encore es est et etes etre eu faire fait faut il ils j je jusqu l la le les leur lui m ma
        mais me mes moi mon n ne nos notre nous on ont ou par pas peut peux plus pour pourquoi pouvez puis qu quand
        que quel quelle quelles quels qui quoi koi s sa sans se ses si son sont suis sur ta te tes toi ton tous tout
        toute toutes tres tu un une va vais vers veux voudrais vos votre vous vs y
        """,
    "gcf": """
        a adan an anba asou ba ban bay ek epi es eti i ja ka ke ki kote konmen kouman la lan le lot man moun mwen ni
        nonm nou o ola oti ou pa pe pou sa se souple ta te tout ye yo yonn zot bizwen bouzwen
        """,
    "ht": """
        a ak anba ankenn ap ban bay e eske fe gen genyen jan ka kab kap kapab ke ki kibo kijan kile kisa kiyes konbyen
        kote la lan le li m men mwen nan nou ou pa poko pou poukisa pral sa se si sou ta tanpri te tou tout vle wap yo
        yon bezwen renmen moun ye
        """,
    "en": """
        a about am an and any are as at be been but by can could d did do does for from get got had has have he her
        here him his how i if im in is it its just ll m me mine my no not of off on once or our ours out please s she
        should so some t that the their them there these they this those to u until up ur us was we were what when
        where which who why will with would you your
        """,
    "es": """
        a al algun alguna como con cual cuando cuanto cuantos de del donde e el ella en es esa ese eso esta estan este
        esto estoy ha hay he la las le les lo los me mi mis muy nada no nos o para pero por porque puede pueden puedes
        puedo que quien se si sin son su sus te tengo tiene tienen tienes tu un una unas uno unos usted y ya yo
        """,
    "pt": """
        a ao algum alguma ao as com como da das de do dos e ela ele eles em esse essa estao esta este eu foi ha isso
        isto ja lhe mas me meu meus mim minha minhas muito na nada nao nas no nos o onde os ou para pela pelo podem
        pode posso por porque pra quais qual quando quanto que quem sao se sem seu sim sua tem tenho ter um uma umas
        uns voce voces
        """,
}
# … and words that do: what people say here, and what they look for.
TELLING = {
    "fr": """
        bonjour bonsoir salut merci svp stp bjr slt bsr cc oui ouais non nan cherche chercher recherche trouve besoin
        donne combien prix annonce dispo disponible numero coudre bois planche planches poutre chevron palette
        palettes tole toles tuile tuiles brique briques parpaing parpaings porte portes fenetre fenetres volet volets
        carrelage carreau peinture ciment sable evier baignoire armoire chaise chaises meuble meubles etagere serrure
        tuyau outil outils perceuse scie vis clou clous vitre verre fer acier gouttiere lundi mardi mercredi jeudi vendredi
        samedi dimanche demain aujourd hui
        """,
    "gcf": """
        mesi bonjou bonswa wi non awa ede anpil sispann chache cheche gade tjenbe kriye pale jodi fe manmay sivouple
        vini bwa planch tol fey lapot pot finet lafinet brik kawo kabann chez bife matla glas klou mato beton blok
        lendi madi mekredi jedi vandredi samdi dimanch demen
        siman sab masonn miray fetay kouveti kay lapenti seri kod jalouzi bawo douch basen zanpoul tiyo bwet zouti
        latilye
        """,
    "ht": """
        mesi bonjou bonswa wi non anpil chache cheche jwenn konnen di ede kounye jodi aswe demen pale rele kenbe mete
        voye bwa planch tol pot fenet brik blok siman sab kabann chez tab klou mato penti tiyo douch miray zouti kay
        seri kod jalouzi anpoul bwat materyel materyo twati lendi madi mekredi jedi vandredi samdi dimanch
        """,
    "en": """
        hello hi hey thanks thank thx pls yes yeah yep want need looking look find many much available left still one
        ones tell give wood timber lumber plywood board boards plank planks beam pallet pallets sheet sheets roof tile
        tiles brick bricks block blocks door doors window windows floor paint cement sand sink bath bathtub cupboard
        chair chairs bench bed shelf shelves furniture lock pipe pipes tool tools drill saw screws nails glass iron
        steel gutter fence monday tuesday wednesday thursday friday saturday sunday today tomorrow
        """,
    "es": """
        dos tres hola buenos buenas dias tardes noches gracias favor quiero quisiera necesito busco buscando dame gustaria
        disponible precio todavia mas llevo hora abren abre madera tabla tablas viga vigas tablero palet palets chapa
        chapas teja tejas ladrillo ladrillos bloque bloques puerta puertas ventana ventanas baldosa baldosas azulejo
        azulejos pintura cemento arena fregadero banera armario silla sillas mesa mesas cama estante muebles cerradura
        tubo herramienta herramientas taladro sierra tornillos clavos vidrio hierro acero lunes martes miercoles jueves
        viernes sabado domingo hoy manana
        """,
    "pt": """
        dois duas ola oi bom boa dia tarde noite obrigado obrigada favor quero queria gostaria preciso procuro procurando
        disponivel preco ainda mais fico hora abre abrem madeira tabua tabuas viga vigas palete paletes telha telhas
        tijolo tijolos bloco blocos porta portas janela janelas piso azulejo azulejos tinta cimento areia pia banheira
        armario cadeira cadeiras mesa mesas cama estante moveis fechadura cano ferramenta ferramentas furadeira serra
        parafusos pregos vidro ferro aco segunda terca quarta quinta sexta sabado domingo hoje amanha
        """,
}
assert tuple(LITTLE) == tuple(TELLING) == LANGUAGES
_WORDS = {language: frozenset((LITTLE[language] + TELLING[language]).split()) for language in LANGUAGES}
_VOTES = {
    word: frozenset(language for language in LANGUAGES if word in _WORDS[language])
    for words in _WORDS.values()
    for word in words
}


def shown(words: Sequence[str], keyword: frozenset[str] = frozenset()) -> str | None:
    """
    The one language that folded `words` show, with the languages of the keyword among them; None when two tie.
    """
    votes = dict.fromkeys(LANGUAGES, 0)
    if len(words) < 3:  # a letter alone is a command, not a word
        words = [word for word in words if len(word) > 1]
    for languages in (keyword, *(_VOTES.get(word, frozenset()) for word in words)):
        for language in languages:
            votes[language] += 1
    first, second = sorted(votes.values())[:-3:-1]
    return max(votes, key=lambda language: votes[language]) if first > second else None
