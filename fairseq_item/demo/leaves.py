"""The leaf categories of the demo catalogue: how their products look and what they are called."""

from collections.abc import Callable
from dataclasses import dataclass

from fairseq_item.demo.draw_accessories import (
    draw_backpack,
    draw_boot,
    draw_handbag,
    draw_sneaker,
    draw_sunglasses,
    draw_watch,
)
from fairseq_item.demo.draw_clothing import draw_dress, draw_hoodie, draw_jeans, draw_t_shirt
from fairseq_item.demo.draw_electronics import (
    draw_camera,
    draw_headphones,
    draw_keyboard,
    draw_phone,
    draw_speaker,
)
from fairseq_item.demo.draw_home import (
    draw_kettle,
    draw_lamp,
    draw_mug,
    draw_pan,
    draw_teddy,
    draw_toy_car,
)

COLOURS = {
    "Black": (38, 38, 42), "White": (240, 240, 238), "Grey": (140, 143, 148),
    "Silver": (196, 200, 206),
    "Navy": (30, 42, 84), "Blue": (42, 98, 190), "Sky Blue": (128, 186, 228),
    "Teal": (20, 130, 132),
    "Green": (46, 128, 66), "Olive": (108, 112, 58), "Mint": (160, 214, 188),
    "Yellow": (242, 200, 52),
    "Orange": (232, 122, 38), "Red": (200, 38, 44), "Maroon": (112, 28, 42),
    "Pink": (238, 150, 176),
    "Purple": (110, 62, 148), "Lilac": (188, 166, 214), "Brown": (112, 72, 46),
    "Tan": (190, 142, 92),
    "Beige": (222, 204, 174), "Gold": (206, 170, 96), "Copper": (184, 106, 70),
    "Denim": (72, 102, 148),
    "Light Wash": (142, 172, 206), "Indigo": (44, 56, 104), "Graphite": (76, 80, 88),
}  # fmt: skip

CLOTH = ("Black", "White", "Grey", "Navy", "Blue", "Sky Blue", "Teal", "Green", "Olive", "Yellow",
         "Orange", "Red", "Maroon", "Pink", "Purple", "Beige", "Mint", "Lilac")  # fmt: skip
DENIM = ("Denim", "Light Wash", "Indigo", "Black", "Grey", "White", "Beige", "Olive")
LEATHER = (
    "Black",
    "Brown",
    "Tan",
    "Red",
    "Navy",
    "Green",
    "Beige",
    "Maroon",
    "Yellow",
    "White",
    "Pink",
)
TECH = (
    "Black",
    "White",
    "Silver",
    "Graphite",
    "Blue",
    "Red",
    "Gold",
    "Mint",
    "Lilac",
    "Navy",
    "Green",
)
HOME = ("White", "Black", "Red", "Teal", "Blue", "Yellow", "Grey", "Green", "Pink", "Copper",
        "Beige",
        "Orange", "Silver", "Mint")  # fmt: skip
FABRIC_PRINTS = ("stripes", "pinstripes", "broad", "diagonal", "dots", "checks", "plaid", "zigzag",
                 "leaves", "camouflage", "two-tone", "half")  # fmt: skip
HARD_PRINTS = ("broad", "diagonal", "two-tone", "half", "dots", "zigzag", "camouflage")

SIZES = ("XS", "S", "M", "L", "XL", "XXL", "3XL")
SHOE_SIZES = tuple(f"EU {size}" for size in range(36, 47))


@dataclass(frozen=True)
class Leaf:
    """A leaf category.

    Attributes:
        name, meta: leaf and meta category.
        draw: draws a ``Look`` on a ``Canvas``; knows four shapes.
        stands: whether images show its products standing.
        palette: colours they come in.
        prints: patterns they come in, besides plain.
        emblem: chance that a family of products carries an emblem; 0 where it would be too small
            to tell products apart.
        nouns: what sellers call it.
        specs: for two properties that no image shows, the values they take.
        traits: words that describe a whole family.
    """

    name: str
    meta: str
    draw: Callable
    stands: bool
    palette: tuple
    prints: tuple
    emblem: float
    nouns: tuple
    specs: tuple
    traits: tuple


LEAVES = (
    Leaf("T-Shirts", "Clothing", draw_t_shirt, False, CLOTH, FABRIC_PRINTS, 0.6,
         ("T-Shirt", "Tee", "T Shirt", "Top"), (SIZES, ("180gsm", "160gsm", "220gsm")),
         ("Cotton", "Slim Fit", "Casual", "Organic", "Quick Dry", "Men's", "Unisex")),
    Leaf("Hoodies", "Clothing", draw_hoodie, False, CLOTH,
         ("stripes", "broad", "camouflage", "plaid",
         "two-tone", "half", "leaves"), 0.6, ("Hoodie", "Hooded Sweatshirt", "Hoody", "Sweatshirt"),
         (SIZES, ("280gsm", "320gsm", "400gsm")),
         ("Fleece", "Oversized", "Brushed", "Men's", "Unisex", "Warm", "Streetwear")),
    Leaf("Dresses", "Clothing", draw_dress, False, CLOTH, FABRIC_PRINTS, 0.0,
         ("Dress", "Frock", "Summer Dress", "Midi"), (SIZES, ("Viscose", "Linen", "Polyester")),
         ("Women's", "Pleated", "Boho", "Party", "Sleeveless", "Elegant", "Casual")),
    Leaf("Jeans", "Clothing", draw_jeans, False, DENIM, ("pinstripes", "camouflage", "plaid",
         "two-tone", "half"), 0.0, ("Jeans", "Denim Trousers", "Denim Pants", "Denims"),
         (tuple(f"W{w} L{n}" for w in (28, 30, 32, 34, 36) for n in (30, 32, 34)),
          ("98% Cotton", "Stretch", "Raw")),
         ("Slim", "Regular Fit", "Vintage", "Men's", "Women's", "Mid Rise", "Tapered")),
    Leaf("Sneakers", "Shoes", draw_sneaker, True, CLOTH, ("stripes", "dots", "camouflage", "checks",
         "two-tone", "half", "leaves"), 0.7, ("Sneakers", "Trainers", "Running Shoes",
                                              "Sports Shoes"),
         (SHOE_SIZES, ("Wide", "Narrow", "Standard")),
         ("Breathable", "Lightweight", "Mesh", "Cushioned", "Men's", "Women's", "Gym")),
    Leaf("Boots", "Shoes", draw_boot, True, LEATHER, ("two-tone", "dots", "leaves", "camouflage",
         "zigzag", "checks"), 0.4, ("Boots", "Ankle Boots", "Shoes", "Winter Boots"),
         (SHOE_SIZES, ("Lined", "Unlined", "Wool Lined")),
         ("Leather", "Waterproof", "Non-Slip", "Chunky", "Men's", "Women's", "Outdoor")),
    Leaf("Backpacks", "Bags", draw_backpack, True, CLOTH, FABRIC_PRINTS, 0.6,
         ("Backpack", "Rucksack", "Daypack", "School Bag"),
         (tuple(f"{n}L" for n in range(12, 46, 3)), ('13"', '14"', '15.6"', '17"')),
         ("Waterproof", "Laptop", "Travel", "Lightweight", "Hiking", "Unisex", "Anti-Theft")),
    Leaf("Handbags", "Bags", draw_handbag, True, LEATHER, ("dots", "checks", "leaves", "plaid",
         "two-tone", "zigzag", "half", "stripes"), 0.5, ("Handbag", "Shoulder Bag", "Purse", "Bag"),
         (("24 cm", "26 cm", "28 cm", "30 cm", "33 cm", "36 cm"), ("Real Leather", "PU", "Vegan")),
         ("Women's", "Designer Style", "Crossbody", "Quilted", "Large", "Small", "Evening")),
    Leaf("Smartphones", "Electronics", draw_phone, False, TECH, HARD_PRINTS, 0.5,
         ("Smartphone", "Phone", "Mobile Phone", "Handset"),
         (("64GB", "128GB", "256GB", "512GB", "1TB"),
          ("4GB RAM", "6GB RAM", "8GB RAM", "12GB RAM")),
         ("5G", "Dual SIM", "Unlocked", "Android", "AMOLED", "NFC")),
    Leaf("Headphones", "Electronics", draw_headphones, False, TECH,
         ("half", "diagonal", "camouflage",
         "two-tone", "zigzag"), 0.6, ("Headphones", "Headset", "Earphones", "Cans"),
         (("20h", "30h", "40h", "60h", "75h"), ("32 Ohm", "64 Ohm", "250 Ohm")),
         ("Wireless", "Bluetooth", "Noise Cancelling", "Stereo", "Foldable", "Bass")),
    Leaf("Cameras", "Electronics", draw_camera, True, TECH + ("Brown", "Pink"), ("two-tone", "half",
         "checks", "zigzag"), 0.0, ("Camera", "Digital Camera", "Photo Camera", "Cam"),
         (("16MP", "20MP", "24MP", "33MP", "45MP"), ("18-55mm", "35mm", "24-70mm", "50mm")),
         ("4K", "Full Frame", "Wi-Fi", "Compact", "Retro", "Vlogging")),
    Leaf("Keyboards", "Electronics", draw_keyboard, False, TECH + ("Pink", "Orange"), ("two-tone",
         "half", "diagonal"), 0.0, ("Keyboard", "Mechanical Keyboard", "PC Keyboard",
                                    "Gaming Keyboard"),
         (("Red Switch", "Blue Switch", "Brown Switch", "Silent Switch"), ("US", "UK", "DE", "FR")),
         ("RGB", "Wireless", "USB-C", "Hot-Swap", "Silent", "Ergonomic")),
    Leaf("Speakers", "Electronics", draw_speaker, True, TECH + ("Teal", "Orange"),
         ("checks", "dots",
         "camouflage", "two-tone", "stripes"), 0.7,
         ("Speaker", "Loudspeaker", "Sound Box", "Boombox"),
         (("10W", "20W", "30W", "40W", "60W"), ("8h", "12h", "24h")),
         ("Portable", "Bluetooth", "Bass", "Wireless", "Waterproof", "Hi-Fi")),
    Leaf("Mugs", "Kitchen", draw_mug, True, HOME, FABRIC_PRINTS, 0.65,
         ("Mug", "Coffee Mug", "Cup", "Tea Cup"),
         (("250ml", "300ml", "330ml", "350ml", "400ml", "500ml"),
          ("Set of 2", "Set of 4", "Single")),
         ("Ceramic", "Porcelain", "Dishwasher Safe", "Handmade", "Large", "Gift")),
    Leaf("Kettles", "Kitchen", draw_kettle, True, HOME,
         ("two-tone", "broad", "dots", "leaves", "half"),
         0.5, ("Kettle", "Electric Kettle", "Tea Kettle", "Water Kettle"),
         (("1.0L", "1.2L", "1.5L", "1.7L", "2.0L"), ("1500W", "2200W", "3000W")),
         ("Stainless Steel", "Cordless", "Fast Boil", "Retro", "Quiet", "BPA Free")),
    Leaf("Pans", "Kitchen", draw_pan, False, HOME, ("dots", "zigzag", "two-tone", "half"), 0.0,
         ("Frying Pan", "Pan", "Skillet", "Cookware Pan"),
         (("20 cm", "24 cm", "26 cm", "28 cm", "30 cm", "32 cm"), ("2.5mm", "3mm", "4mm")),
         ("Non-Stick", "Induction", "Cast Iron", "Aluminium", "Oven Safe", "Granite")),
    Leaf("Watches", "Accessories", draw_watch, False, LEATHER + ("Silver", "Teal"), ("stripes",
         "checks", "pinstripes", "zigzag", "camouflage", "dots"), 0.0,
         ("Watch", "Wristwatch", "Wrist Watch", "Timepiece"),
         (("38mm", "40mm", "42mm", "44mm", "46mm"), ("3ATM", "5ATM", "10ATM")),
         ("Quartz", "Automatic", "Men's", "Women's", "Analogue", "Luxury Style")),
    Leaf("Sunglasses", "Accessories", draw_sunglasses, False, CLOTH + ("Gold", "Silver", "Tan"),
         ("camouflage", "stripes", "dots", "checks", "diagonal"), 0.0,
         ("Sunglasses", "Shades", "Sun Glasses", "Eyewear"),
         (("Cat 2", "Cat 3", "Cat 4"), ("50mm", "52mm", "55mm", "58mm")),
         ("Polarised", "UV400", "Unisex", "Retro", "Sport", "Women's")),
    Leaf("Toy Cars", "Toys", draw_toy_car, True, CLOTH, ("stripes", "checks", "dots", "camouflage",
         "two-tone", "half"), 0.6, ("Toy Car", "Model Car", "Toy Vehicle", "Die-Cast Car"),
         (("1:18", "1:24", "1:32", "1:43", "1:64"), ("Age 3+", "Age 5+", "Age 8+")),
         ("Pull Back", "Metal", "Wooden", "Remote Control", "Kids", "Collectible")),
    Leaf("Soft Toys", "Toys", draw_teddy, True, ("Brown", "Tan", "Beige", "White", "Grey", "Pink",
         "Sky Blue", "Lilac", "Mint", "Yellow", "Black"), ("dots", "stripes", "checks", "leaves"),
         0.6,
         ("Soft Toy", "Plush Toy", "Stuffed Animal", "Cuddly Toy"),
         (("20 cm", "25 cm", "30 cm", "40 cm", "60 cm"), ("Age 0+", "Age 1+", "Age 3+")),
         ("Fluffy", "Washable", "Kids", "Baby", "Gift", "Organic")),
    Leaf("Table Lamps", "Home", draw_lamp, True, HOME, FABRIC_PRINTS, 0.5,
         ("Table Lamp", "Lamp", "Bedside Lamp", "Desk Light"),
         (("E14", "E27", "GU10"), ("40W", "60W", "9W LED", "12W LED")),
         ("Dimmable", "LED", "Touch", "Modern", "Vintage", "Bedroom")),
)  # fmt: skip
