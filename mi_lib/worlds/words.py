"""A vocabulary of plain, short English words, so that sequences of tokens can be read and typed."""

from __future__ import annotations

_TEXT = """
acorn actor album alley amber anchor angel ankle apple apron arch arm army arrow ash atlas aunt autumn axe
baby badge bag baker ball bamboo banana band bank barn barrel basin basket bat bath beach bead bean bear beard
beaver bed bee bell belt bench berry bicycle bird biscuit blanket block blossom boat bone book boot border bottle
bowl box branch brass bread breeze brick bride bridge broom brother brush bubble bucket bug bull bus bush butter
button cabin cable cactus cafe cage cake calf camel camp canal candle candy cane canoe canyon cape captain card
carpet carrot cart castle cat cave cedar cellar chain chair chalk cheese cherry chest chicken chief child chimney
chin circle circus city clay cliff clock cloth cloud clover coal coast coat cobbler coffee coin collar comb
comet cook copper coral corn cotton couch cousin cow crab cradle crane crayon cream creek cricket crow crown crumb
cup curtain cushion daisy dancer dawn deer desert desk diamond dice dinner dish doctor dog doll dolphin donkey door
dove dragon drawer dress drum duck dust eagle ear earth echo edge eel egg elbow elephant elm ember engine evening
eye fabric face falcon farm feast feather fence fern ferry fiddle field fig finger fire fish flag flame flask
flower flute fog forest fork fossil fountain fox frame friend frog frost fruit garden garlic gate ghost giant ginger
girl glass globe glove goat gold goose grain grape grass gravel guest guitar gull hammer hand harbor harp hat hawk
hay hazel heart hedge hen herb heron hill hive honey hood hook horn horse hotel house ice ink inn iron island
ivory ivy jacket jam jar jelly jewel juice jungle kettle key king kitchen kite kitten knee knife knight knot
ladder lady lake lamb lamp lantern lark laundry leaf leather lemon letter lily lime linen lion lizard lobster lock
log loom lunch magnet maid mango map maple marble market mask meadow melon mill mint mirror mitten mole monkey
moon moose morning moss moth mouse mouth mud mule museum music nail neck needle nest net night north nose nurse
nut oak oar oat ocean olive onion orange orchard otter oven owl ox oyster page paint palace palm pan panda paper
parrot path peach peacock pear pearl pebble pen pencil pepper piano pie pigeon pillow pilot pin pine pipe pirate
plane planet plate plum pocket poem poet pond pony porch potato pot prince pumpkin puppet puppy purse quail queen
quilt rabbit radio raft rain ranch raven razor reed ribbon rice ring river road robin rocket roof room root rope
rose ruby rug sail salad salt sand sauce scarf school seal seed shadow shark sheep shell ship shirt shoe silk silver
sister skirt sky sled snail snake snow soap sock soup spider spoon spring spruce square stable star statue stone
storm stove straw street string sugar summer sun swan table tailor tea tent thimble thread throne thumb tiger toad
tooth torch tower town train tree trumpet tulip tunnel turkey turtle uncle valley vase velvet village vine violet
violin wagon wall walnut water wave wax well whale wheat wheel willow wind window wine wing winter wolf wood wool
wren wrist yard zebra
"""

WORDS: tuple[str, ...] = tuple(_TEXT.split())
