/** Goods of the fake orders. */
type Good = {
  name: { ru: string; en: string };
  brands: string[];
  sizes: string[];
  /** Price range, from and to. */
  roubles: [number, number];
};

const clothes = ['XS', 'S', 'M', 'L', 'XL', 'XXL'];
const shoes = ['36', '37', '38', '39', '40', '41', '42', '43', '44'];
const none = ['0'];

const casual = ['Befree', 'Gloria Jeans', 'Sela', 'Zarina', 'Mango', 'Твоё'];
const sport = ['Adidas', 'Nike', 'Puma', 'Demix', 'Reebok'];
const footwear = ['Kari', 'Ralf Ringer', 'Ecco', 'Thomas Münz', 'Rieker'];
const makeUp = ['Vivienne Sabo', "L'Oréal Paris", 'Maybelline', 'Influence Beauty', 'Luxvisage'];
const care = ['Natura Siberica', 'Librederm', 'Garnier', 'Nivea', 'Чистая линия'];
const bags = ['Samsonite', 'Pola', 'Askent', 'David Jones'];
const home = ['Pragma', 'Togas', 'Cozy Home', 'Уютный дом'];

export const goods: Good[] = [
  { name: { ru: 'Тушь для ресниц', en: 'Mascara' }, brands: makeUp, sizes: none, roubles: [250, 1500] },
  { name: { ru: 'Помада', en: 'Lipstick' }, brands: makeUp, sizes: none, roubles: [200, 1800] },
  { name: { ru: 'Тональный крем', en: 'Foundation' }, brands: makeUp, sizes: none, roubles: [350, 2400] },
  {
    name: { ru: 'Палетка теней', en: 'Eyeshadow palette' },
    brands: makeUp,
    sizes: none,
    roubles: [400, 2900],
  },
  { name: { ru: 'Крем для рук', en: 'Hand cream' }, brands: care, sizes: none, roubles: [120, 700] },
  { name: { ru: 'Шампунь', en: 'Shampoo' }, brands: care, sizes: none, roubles: [180, 1200] },
  { name: { ru: 'Сыворотка для лица', en: 'Face serum' }, brands: care, sizes: none, roubles: [350, 3200] },
  { name: { ru: 'Футболка', en: 'T-shirt' }, brands: casual, sizes: clothes, roubles: [400, 2500] },
  { name: { ru: 'Платье', en: 'Dress' }, brands: casual, sizes: clothes, roubles: [1200, 9000] },
  { name: { ru: 'Рубашка', en: 'Shirt' }, brands: casual, sizes: clothes, roubles: [900, 5500] },
  { name: { ru: 'Джинсы', en: 'Jeans' }, brands: casual, sizes: clothes, roubles: [1500, 7000] },
  { name: { ru: 'Свитер', en: 'Sweater' }, brands: casual, sizes: clothes, roubles: [1300, 6500] },
  { name: { ru: 'Пуховик', en: 'Down jacket' }, brands: casual, sizes: clothes, roubles: [4500, 19000] },
  {
    name: { ru: 'Спортивный костюм', en: 'Tracksuit' },
    brands: sport,
    sizes: clothes,
    roubles: [2500, 12000],
  },
  { name: { ru: 'Леггинсы', en: 'Leggings' }, brands: sport, sizes: clothes, roubles: [900, 4500] },
  { name: { ru: 'Кроссовки', en: 'Trainers' }, brands: sport, sizes: shoes, roubles: [2900, 16000] },
  { name: { ru: 'Ботинки', en: 'Boots' }, brands: footwear, sizes: shoes, roubles: [3200, 14000] },
  { name: { ru: 'Туфли', en: 'Shoes' }, brands: footwear, sizes: shoes, roubles: [2400, 11000] },
  { name: { ru: 'Рюкзак', en: 'Backpack' }, brands: bags, sizes: none, roubles: [1500, 9500] },
  { name: { ru: 'Кошелёк', en: 'Purse' }, brands: bags, sizes: none, roubles: [600, 5000] },
  { name: { ru: 'Шарф', en: 'Scarf' }, brands: casual, sizes: none, roubles: [500, 3000] },
  { name: { ru: 'Комплект полотенец', en: 'Towel set' }, brands: home, sizes: none, roubles: [800, 4000] },
  { name: { ru: 'Постельное бельё', en: 'Bed linen' }, brands: home, sizes: none, roubles: [1800, 9000] },
  { name: { ru: 'Плед', en: 'Throw' }, brands: home, sizes: none, roubles: [900, 4500] },
];
